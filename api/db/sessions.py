"""Sessions in SQL."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from api.db.database import Statements
from api.db.users import USER_COLUMNS, Account, user_of
from api.domain.principal import Role
from api.domain.session import SESSION_IDLE, SESSION_LIFE, SESSIONS_PER_USER_MAX, Seat, Session

SEEN_PERIOD = timedelta(minutes=1)
"""`last_seen_at` is no more exact than this."""
KEPT_AFTER_END = timedelta(days=30)
"""How long a session that has ended stays to be looked at."""


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session that is neither revoked nor expired, of a person who may sign in, and what its secret hashes to."""

    session: Session
    secret_sha256: bytes


async def find(database: Statements, session_id: UUID, now: datetime) -> StoredSession | None:
    """A good session with the teams of its person; that it was used is noted now and then."""
    rows = await database.rows(
        f"""WITH seen AS (
            UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND revoked_at IS NULL AND last_seen_at < $3
                AND expires_at > $2 AND last_seen_at > $4
        )
        SELECT s.team_id, s.secret_sha256, {USER_COLUMNS}, m.team_id AS seat_team_id, m.role AS seat_role,
            t.name AS seat_team_name
        FROM sessions s JOIN users u ON u.id = s.user_id
        LEFT JOIN memberships m ON m.user_id = u.id LEFT JOIN teams t ON t.id = m.team_id
        WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND s.last_seen_at > $4
            AND u.deactivated_at IS NULL
        ORDER BY m.id""",
        session_id,
        now,
        now - SEEN_PERIOD,
        now - SESSION_IDLE,
    )
    if not rows:
        return None
    seats = tuple(
        Seat(row["seat_team_id"], row["seat_team_name"], Role(row["seat_role"])) for row in rows if row["seat_role"]
    )
    session = Session(session_id, user_of(rows[0]), seats, rows[0]["team_id"])
    return StoredSession(session, rows[0]["secret_sha256"])


async def insert(
    database: Statements, session_id: UUID, proved: Account, secret_sha256: bytes, now: datetime, team_id: UUID | None
) -> bool:
    """Begins a session; False if the person was deactivated, or got another password or another way to sign in, since
    they proved who they are. Those beyond `SESSIONS_PER_USER_MAX` end, the oldest first, and what has ended long ago
    goes.

    The person's row is locked against such changes: one that is under way is waited for, and one that comes later sees
    this session, and ends it.
    """
    row = await database.row(
        """WITH begun AS (
            INSERT INTO sessions (id, user_id, team_id, secret_sha256, created_at, last_seen_at, expires_at)
            SELECT $1, u.id, $5, $3, $4, $4, $6 FROM users u WHERE u.id = $2 AND u.deactivated_at IS NULL
                AND u.password_hash IS NOT DISTINCT FROM $9 AND u.oidc_subject IS NOT DISTINCT FROM $10
            FOR SHARE OF u
            RETURNING id
        ), too_many AS (
            UPDATE sessions SET revoked_at = $4 WHERE id IN (
                SELECT id FROM sessions WHERE user_id = $2 AND revoked_at IS NULL AND expires_at > $4
                ORDER BY id DESC OFFSET $7)
        ), gone AS (
            DELETE FROM sessions WHERE id IN (
                SELECT id FROM sessions WHERE expires_at < $8 LIMIT 100 FOR UPDATE SKIP LOCKED)
        )
        SELECT id FROM begun""",
        session_id,
        proved.user.id,
        secret_sha256,
        now,
        team_id,
        now + SESSION_LIFE,
        # the new one is not seen by the statement that makes it
        SESSIONS_PER_USER_MAX - 1,
        now - KEPT_AFTER_END,
        proved.password_hash,
        proved.oidc_subject,
    )
    return row is not None


async def revoke(database: Statements, session_id: UUID, now: datetime) -> None:
    """Ends a session; harmless to repeat."""
    await database.execute("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", session_id, now)


async def revoke_all(database: Statements, user_id: UUID, now: datetime, *, but: UUID | None = None) -> None:
    """Ends all sessions of a person, or all but one."""
    await database.execute(
        "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $3",
        user_id,
        now,
        but,
    )


async def switch(database: Statements, session_id: UUID, team_id: UUID) -> bool:
    """Lets a session act for another team; False if its person is not in that."""
    changed = await database.execute(
        """UPDATE sessions s SET team_id = $2 WHERE s.id = $1
            AND EXISTS (SELECT FROM memberships m WHERE m.user_id = s.user_id AND m.team_id = $2)""",
        session_id,
        team_id,
    )
    return changed > 0

"""People in SQL."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.db.database import Row, Statements
from api.domain.page import Page, PageRequest, page_of
from api.domain.user import Deactivation, User

USER_COLUMNS = """u.id AS u_id, u.email AS u_email, u.name AS u_name, u.is_platform_admin AS u_is_platform_admin,
    u.created_at AS u_created_at, u.deactivated_at AS u_deactivated_at"""
"""Of a table called `u`."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person, and what proves that it is them. A session begins only while both are still what they were when they
    were proved."""

    user: User
    password_hash: str | None
    oidc_subject: str | None


def user_of(row: Row) -> User:
    """The person in a row with `USER_COLUMNS`."""
    return User(
        id=row["u_id"],
        email=row["u_email"],
        name=row["u_name"],
        is_platform_admin=row["u_is_platform_admin"],
        created_at=row["u_created_at"],
        deactivated_at=row["u_deactivated_at"],
    )


async def get(database: Statements, user_id: UUID) -> User | None:
    """A person, deactivated ones too."""
    row = await database.row(f"SELECT {USER_COLUMNS} FROM users u WHERE u.id = $1", user_id)
    return None if row is None else user_of(row)


async def find(database: Statements, email: str) -> Account | None:
    """The account of an address, as `check_email` writes it; deactivated ones too."""
    return await _account(database, "lower(u.email) = lower($1)", email)


async def find_by_subject(database: Statements, subject: str) -> Account | None:
    """The account of a subject of the OIDC provider; deactivated ones too."""
    return await _account(database, "u.oidc_subject = $1", subject)


async def find_by_id(database: Statements, user_id: UUID) -> Account | None:
    """The account of a person; deactivated ones too."""
    return await _account(database, "u.id = $1", user_id)


async def _account(database: Statements, condition: str, value: object) -> Account | None:
    row = await database.row(
        f"SELECT {USER_COLUMNS}, u.password_hash, u.oidc_subject FROM users u WHERE {condition}", value
    )
    return None if row is None else Account(user_of(row), row["password_hash"], row["oidc_subject"])


async def insert(
    database: Statements, user: User, *, password_hash: str | None = None, oidc_subject: str | None = None
) -> None:
    """Keeps a new person. Raises: Conflict, `EMAIL_TAKEN`."""
    await database.execute(
        """INSERT INTO users (id, email, name, password_hash, oidc_subject, is_platform_admin, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        user.id,
        user.email,
        user.name,
        password_hash,
        oidc_subject,
        user.is_platform_admin,
        user.created_at,
    )


async def set_password(database: Statements, user_id: UUID, password_hash: str) -> None:
    """Replaces a password, whatever it was."""
    await database.execute("UPDATE users SET password_hash = $2 WHERE id = $1", user_id, password_hash)


async def replace_password(database: Statements, account: Account, password_hash: str) -> bool:
    """Replaces the password that an account had when it was read; False if it is another one by now."""
    changed = await database.execute(
        "UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash IS NOT DISTINCT FROM $3",
        account.user.id,
        password_hash,
        account.password_hash,
    )
    return changed > 0


async def bind_subject(database: Statements, user_id: UUID, subject: str) -> bool:
    """Notes who a person is to the OIDC provider, and drops their password; False if they are somebody already."""
    changed = await database.execute(
        "UPDATE users SET oidc_subject = $2, password_hash = NULL WHERE id = $1 AND oidc_subject IS NULL",
        user_id,
        subject,
    )
    return changed > 0


async def page(database: Statements, email_contains: str | None, request: PageRequest) -> Page[User]:
    """All people, the oldest account first."""
    cursor = request.before if request.backwards else request.after
    rows = await database.rows(
        f"""SELECT {USER_COLUMNS} FROM users u
        WHERE {_CRITERIA} AND ($2::uuid IS NULL OR CASE WHEN $3 THEN u.id < $2 ELSE u.id > $2 END)
        ORDER BY CASE WHEN $3 THEN u.id END DESC, CASE WHEN NOT $3 THEN u.id END LIMIT $4""",
        email_contains,
        cursor,
        request.backwards,
        request.size + 1,
    )
    return page_of(tuple(user_of(row) for row in rows), request)


_CRITERIA = "($1::text IS NULL OR position(lower($1) IN lower(u.email)) > 0)"


async def count(database: Statements, email_contains: str | None) -> int:
    """How many people there are."""
    row = await database.row(f"SELECT count(*) FROM users u WHERE {_CRITERIA}", email_contains)
    return 0 if row is None else int(row[0])


async def everybody(database: Statements) -> list[User]:
    """All people, the oldest account first; for the command line."""
    return [user_of(row) for row in await database.rows(f"SELECT {USER_COLUMNS} FROM users u ORDER BY u.id")]


async def lock_platform_admins(database: Statements) -> frozenset[UUID]:
    """The platform admins who can sign in, as they are once nobody else changes them; none changes until the end of
    the transaction."""
    rows = await database.rows(
        """SELECT id FROM users WHERE is_platform_admin AND deactivated_at IS NULL ORDER BY id
        FOR NO KEY UPDATE"""
    )
    return frozenset(row["id"] for row in rows)


async def set_deactivated(database: Statements, user_id: UUID, at: datetime | None) -> None:
    """Deactivates a person, or lets them in again. The first time stays when it is repeated."""
    await database.execute(
        "UPDATE users SET deactivated_at = CASE WHEN $2::timestamptz IS NULL THEN NULL "
        "ELSE coalesce(deactivated_at, $2) END WHERE id = $1",
        user_id,
        at,
    )


async def set_platform_admin(database: Statements, user_id: UUID, *, is_platform_admin: bool) -> None:
    """Makes somebody a platform admin, or no longer one."""
    await database.execute("UPDATE users SET is_platform_admin = $2 WHERE id = $1", user_id, is_platform_admin)


async def what_stops_with(database: Statements, user_id: UUID, now: datetime) -> Deactivation:
    """What deactivating a person stops."""
    row = await database.row(
        """SELECT
            (SELECT count(*) FROM sessions s
                WHERE s.user_id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2) AS session_count,
            (SELECT count(*) FROM api_keys k
                WHERE k.created_by = $1 AND k.revoked_at IS NULL
                    AND (k.expires_at IS NULL OR k.expires_at > $2)) AS key_count,
            -- the operation that made a sandbox is of its first generation
            ARRAY(SELECT s.id FROM sandboxes s JOIN operations o ON o.sandbox_id = s.id AND o.generation = 1
                WHERE s.state = 'running' AND (o.actor = 'usr-' || $1::text OR o.actor IN (
                    SELECT 'key-' || k.id::text FROM api_keys k WHERE k.created_by = $1))
                ORDER BY s.id) AS sandbox_ids""",
        user_id,
        now,
    )
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return Deactivation(row["session_count"], row["key_count"], tuple(row["sandbox_ids"]))

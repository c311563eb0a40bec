"""Invitations in SQL."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.db.database import Row, Statements
from api.domain.invitation import Invitation
from api.domain.page import Page, PageRequest, page_of
from api.domain.principal import Role

_SHOWN = """SELECT i.id, i.team_id, t.name AS team_name, i.email, i.role, i.created_at, i.expires_at,
    coalesce(nullif(u.name, ''), u.email, '') AS invited_by, i.secret_sha256
    FROM invitations i JOIN teams t ON t.id = i.team_id LEFT JOIN users u ON u.id = i.invited_by"""
_OPEN = "i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > {now}"


@dataclass(frozen=True, slots=True)
class StoredInvitation:
    """An invitation that can be accepted, and what the secret in its link hashes to."""

    invitation: Invitation
    secret_sha256: bytes


async def insert(database: Statements, invitation: Invitation, secret_sha256: bytes, invited_by: UUID | None) -> None:
    """Keeps a new invitation, in place of an open one for the same address."""
    await database.execute(
        "UPDATE invitations SET revoked_at = $3 WHERE team_id = $1 AND email = $2 AND accepted_at IS NULL "
        "AND revoked_at IS NULL",
        invitation.team_id,
        invitation.email,
        invitation.created_at,
    )
    await database.execute(
        """INSERT INTO invitations (id, team_id, email, role, secret_sha256, invited_by, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        invitation.id,
        invitation.team_id,
        invitation.email,
        invitation.role,
        secret_sha256,
        invited_by,
        invitation.created_at,
        invitation.expires_at,
    )


async def find(database: Statements, invitation_id: UUID, now: datetime) -> StoredInvitation | None:
    """An invitation that can be accepted."""
    row = await database.row(f"{_SHOWN} WHERE i.id = $1 AND {_OPEN.format(now='$2')}", invitation_id, now)
    return None if row is None else StoredInvitation(_invitation(row), row["secret_sha256"])


async def page(database: Statements, team_id: UUID, now: datetime, request: PageRequest) -> Page[Invitation]:
    """A team's invitations that can be accepted, the newest first."""
    cursor = request.before if request.backwards else request.after
    rows = await database.rows(
        f"""{_SHOWN} WHERE i.team_id = $1 AND {_OPEN.format(now="$5")}
            AND ($2::uuid IS NULL OR CASE WHEN $3 THEN i.id > $2 ELSE i.id < $2 END)
        ORDER BY CASE WHEN $3 THEN i.id END, CASE WHEN NOT $3 THEN i.id END DESC LIMIT $4""",
        team_id,
        cursor,
        request.backwards,
        request.size + 1,
        now,
    )
    return page_of(tuple(_invitation(row) for row in rows), request)


async def count(database: Statements, team_id: UUID, now: datetime) -> int:
    """How many invitations of a team can be accepted."""
    row = await database.row(
        f"SELECT count(*) FROM invitations i WHERE i.team_id = $1 AND {_OPEN.format(now='$2')}", team_id, now
    )
    return 0 if row is None else int(row[0])


async def claim(database: Statements, invitation_id: UUID, now: datetime) -> bool:
    """Uses an invitation up; False if it was used, revoked or has expired. Of two at once one waits for the other."""
    changed = await database.execute(
        f"UPDATE invitations i SET accepted_at = $2 WHERE i.id = $1 AND {_OPEN.format(now='$2')}", invitation_id, now
    )
    return changed > 0


async def revoke(database: Statements, team_id: UUID, invitation_id: UUID, now: datetime) -> bool:
    """Takes an invitation back; False if a team has no such open one."""
    changed = await database.execute(
        f"UPDATE invitations i SET revoked_at = $3 WHERE i.team_id = $1 AND i.id = $2 AND {_OPEN.format(now='$3')}",
        team_id,
        invitation_id,
        now,
    )
    return changed > 0


async def revoke_of(database: Statements, user_id: UUID, now: datetime, *, team_id: UUID | None = None) -> None:
    """Takes back what a person has invited to: one team, or all of them."""
    await database.execute(
        f"""UPDATE invitations i SET revoked_at = $2
        WHERE i.invited_by = $1 AND ($3::uuid IS NULL OR i.team_id = $3) AND {_OPEN.format(now="$2")}""",
        user_id,
        now,
        team_id,
    )


def _invitation(row: Row) -> Invitation:
    return Invitation(
        id=row["id"],
        team_id=row["team_id"],
        team_name=row["team_name"],
        email=row["email"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        invited_by=row["invited_by"],
    )

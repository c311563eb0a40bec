"""API keys in SQL."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from api.db.database import Database, Row, Statements
from api.domain.api_key import ApiKey
from api.domain.page import Page, PageRequest, page_of
from api.domain.principal import Principal, PrincipalKind, Role, Scope, scopes_of

LAST_USED_PERIOD = timedelta(minutes=1)
"""`last_used_at` is no more exact than this, so that a busy key does not write at every request."""

_SHOWN = """k.id, k.team_id, t.name AS team_name, k.name, k.scopes, k.is_platform_admin, k.created_by,
    coalesce(nullif(u.name, ''), u.email, '') AS created_by_name, k.created_at, k.last_used_at, k.expires_at,
    k.revoked_at"""
_FROM = "api_keys k JOIN teams t ON t.id = k.team_id LEFT JOIN users u ON u.id = k.created_by"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that is neither revoked nor expired, and what its secret hashes to."""

    principal: Principal
    secret_sha256: bytes


async def list_all(database: Database) -> list[ApiKey]:
    """Every key of every team, those that no longer open anything too, the oldest first."""
    rows = await database.rows(f"SELECT {_SHOWN} FROM {_FROM} ORDER BY k.created_at, k.id")  # noqa: S608 - constants
    return [_key(row) for row in rows]


async def page(database: Statements, team_id: UUID, request: PageRequest) -> Page[ApiKey]:
    """A team's keys, the newest first, ended ones too."""
    cursor = request.before if request.backwards else request.after
    rows = await database.rows(
        f"""SELECT {_SHOWN} FROM {_FROM}
        WHERE k.team_id = $1 AND ($2::uuid IS NULL OR CASE WHEN $3 THEN k.id > $2 ELSE k.id < $2 END)
        ORDER BY CASE WHEN $3 THEN k.id END, CASE WHEN NOT $3 THEN k.id END DESC LIMIT $4""",  # noqa: S608 - constants
        team_id,
        cursor,
        request.backwards,
        request.size + 1,
    )
    return page_of(tuple(_key(row) for row in rows), request)


async def count(database: Statements, team_id: UUID) -> int:
    """How many keys a team has, ended ones too."""
    row = await database.row("SELECT count(*) FROM api_keys WHERE team_id = $1", team_id)
    return 0 if row is None else int(row[0])


async def count_live(database: Statements, team_id: UUID, now: datetime) -> int:
    """How many of a team's keys can still be used."""
    row = await database.row(
        """SELECT count(*) FROM api_keys
        WHERE team_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)""",
        team_id,
        now,
    )
    return 0 if row is None else int(row[0])


async def get(database: Statements, team_id: UUID, key_id: UUID) -> ApiKey | None:
    """One of a team's keys."""
    row = await database.row(
        f"SELECT {_SHOWN} FROM {_FROM} WHERE k.team_id = $1 AND k.id = $2",  # noqa: S608 - constants
        team_id,
        key_id,
    )
    return None if row is None else _key(row)


_GOOD = """SELECT k.team_id, k.id, k.name, k.scopes, k.is_platform_admin, k.secret_sha256, t.name AS team_name,
        k.created_by, m.role AS creator_role
    FROM api_keys k JOIN teams t ON t.id = k.team_id
    LEFT JOIN users u ON u.id = k.created_by AND u.deactivated_at IS NULL
    LEFT JOIN memberships m ON m.team_id = k.team_id AND m.user_id = u.id
    WHERE k.id = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
        AND (k.created_by IS NULL OR m.id IS NOT NULL)"""


async def find(database: Database, key_id: UUID, now: datetime) -> StoredKey | None:
    """A good key; that it was used is noted now and then. One that a person made is good while they are an active
    member of the team, and may do no more than they may."""
    row = await database.row(
        f"""WITH used AS (
            UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND revoked_at IS NULL
                AND (last_used_at IS NULL OR last_used_at < $3)
        ) {_GOOD}""",  # noqa: S608 - a constant
        key_id,
        now,
        now - LAST_USED_PERIOD,
    )
    return None if row is None else _stored(row)


async def hold(transaction: Statements, key_id: UUID, now: datetime) -> StoredKey | None:
    """A good key, as `find`, which nobody revokes until the end of the transaction."""
    row = await transaction.row(f"{_GOOD} FOR SHARE OF k", key_id, now)
    return None if row is None else _stored(row)


def _stored(row: Row) -> StoredKey:
    scopes = frozenset(Scope(scope) for scope in row["scopes"])
    if row["created_by"] is not None:
        scopes &= scopes_of(Role(row["creator_role"]))
    principal = Principal(
        kind=PrincipalKind.KEY,
        id=row["id"],
        name=row["name"],
        team_id=row["team_id"],
        scopes=scopes,
        is_platform_admin=row["is_platform_admin"],
        team_name=row["team_name"],
    )
    return StoredKey(principal, row["secret_sha256"])


async def insert(
    database: Statements,
    principal: Principal,
    secret_sha256: bytes,
    now: datetime,
    *,
    expires_at: datetime | None = None,
    created_by: UUID | None = None,
) -> None:
    """Keeps a new key, which makes `principal` of its callers. Raises: NotFound when there is no such team."""
    await database.execute(
        """INSERT INTO api_keys
            (id, team_id, name, secret_sha256, is_platform_admin, created_at, scopes, expires_at, created_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        principal.id,
        principal.team_id,
        principal.name,
        secret_sha256,
        principal.is_platform_admin,
        now,
        [scope for scope in Scope if scope in principal.scopes],
        expires_at,
        created_by,
    )


async def creator(database: Statements, key_id: UUID) -> UUID | None:
    """Who made a key; None for one that was made at the command line."""
    row = await database.row("SELECT created_by FROM api_keys WHERE id = $1", key_id)
    return None if row is None else row["created_by"]


async def revoke(database: Statements, key_id: UUID, now: datetime, *, team_id: UUID | None = None) -> bool:
    """Ends a key; False if there is no such key (in this team, if one is given) or it was ended before."""
    changed = await database.execute(
        """UPDATE api_keys SET revoked_at = $2
        WHERE id = $1 AND revoked_at IS NULL AND ($3::uuid IS NULL OR team_id = $3)""",
        key_id,
        now,
        team_id,
    )
    return changed > 0


async def revoke_made_by(database: Statements, user_id: UUID, team_id: UUID, now: datetime) -> None:
    """Ends the keys that a person made for a team."""
    await database.execute(
        "UPDATE api_keys SET revoked_at = $3 WHERE created_by = $1 AND team_id = $2 AND revoked_at IS NULL",
        user_id,
        team_id,
        now,
    )


def _key(row: Row) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(Scope(scope) for scope in row["scopes"])})

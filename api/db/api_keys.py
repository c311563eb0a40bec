"""API keys in SQL."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from api.db.database import Database
from api.domain.principal import Principal

LAST_USED_PERIOD = timedelta(minutes=1)
"""`last_used_at` is no more exact than this, so that a busy key does not write at every request."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that is neither revoked nor expired, and what its secret hashes to."""

    principal: Principal
    secret_sha256: bytes


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What may be shown of a key. `last_used_at` is no more exact than `LAST_USED_PERIOD`."""

    id: UUID
    team_name: str
    name: str
    is_platform_admin: bool
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


async def list_all(database: Database) -> list[KeyRecord]:
    """Every key of every team, those that no longer open anything too, the oldest first."""
    rows = await database.rows(
        """SELECT k.id, t.name AS team_name, k.name, k.is_platform_admin, k.created_at, k.last_used_at, k.expires_at,
            k.revoked_at
        FROM api_keys k JOIN teams t ON t.id = k.team_id ORDER BY k.created_at, k.id"""
    )
    return [KeyRecord(**row) for row in rows]


async def find(database: Database, key_id: UUID, now: datetime) -> StoredKey | None:
    """A good key; that it was used is noted now and then."""
    row = await database.row(
        """WITH used AS (
            UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND revoked_at IS NULL
                AND (last_used_at IS NULL OR last_used_at < $3)
        )
        SELECT k.team_id, k.id, k.name, k.is_platform_admin, k.secret_sha256, t.name AS team_name
        FROM api_keys k JOIN teams t ON t.id = k.team_id
        WHERE k.id = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)""",
        key_id,
        now,
        now - LAST_USED_PERIOD,
    )
    if row is None:
        return None
    principal = Principal(row["team_id"], row["id"], row["name"], row["is_platform_admin"], row["team_name"])
    return StoredKey(principal, row["secret_sha256"])


async def insert(database: Database, principal: Principal, secret_sha256: bytes, now: datetime) -> None:
    """Keeps a new key. Raises: NotFound when there is no such team."""
    await database.execute(
        """INSERT INTO api_keys (id, team_id, name, secret_sha256, is_platform_admin, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)""",
        principal.api_key_id,
        principal.team_id,
        principal.name,
        secret_sha256,
        principal.is_platform_admin,
        now,
    )


async def revoke(database: Database, key_id: UUID, now: datetime) -> bool:
    """Ends a key; False if there is no such key or it was ended before."""
    return (
        await database.execute("UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", key_id, now)
        > 0
    )

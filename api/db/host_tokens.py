"""Tokens with which hosts join, in SQL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.db.database import Statements


@dataclass(frozen=True, slots=True)
class Token:
    """What a token lets one host do: join as a new one, or again if it is the host `again`."""

    again: UUID | None


async def insert(
    database: Statements,
    token_id: UUID,
    secret_sha256: bytes,
    again: UUID | None,
    actor: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Keeps a new token. `again` must be a host that there is."""
    await database.execute(
        """INSERT INTO host_tokens (id, secret_sha256, host_id, created_by, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)""",
        token_id,
        secret_sha256,
        again,
        actor,
        now,
        expires_at,
    )


async def use_up(database: Statements, token_id: UUID, secret_sha256: bytes, now: datetime) -> Token | None:
    """Uses a token up; None if it is unknown, used or expired. Of two that try at once, one waits for the other."""
    row = await database.row(
        """UPDATE host_tokens SET used_at = $3
        WHERE id = $1 AND secret_sha256 = $2 AND used_at IS NULL AND expires_at > $3 RETURNING host_id""",
        token_id,
        secret_sha256,
        now,
    )
    return None if row is None else Token(row["host_id"])


async def expire(database: Statements, host_id: UUID, now: datetime) -> None:
    """Lets nobody use a token any more that was made for this host."""
    await database.execute(
        "UPDATE host_tokens SET expires_at = $2 WHERE host_id = $1 AND used_at IS NULL", host_id, now
    )

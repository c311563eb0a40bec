"""Tokens with which hosts join, in SQL."""

from datetime import datetime
from uuid import UUID

from api.db.database import Database, Statements
from api.domain.host import Registration

_REGISTER = """WITH token AS (
    UPDATE host_tokens SET used_at = $3 WHERE id = $1 AND secret_sha256 = $2 AND used_at IS NULL AND expires_at > $3
    RETURNING id
), host AS (
    INSERT INTO hosts (id, name, address, cpu_count, created_at, registered_at, certificate_expires_at)
    SELECT $4, $5, $6, 0, $3, $3, $7 FROM token
    ON CONFLICT (id) DO UPDATE SET address = excluded.address, registered_at = excluded.registered_at,
        certificate_expires_at = excluded.certificate_expires_at
    RETURNING id
)
SELECT id FROM host"""


async def insert(
    database: Statements, token_id: UUID, secret_sha256: bytes, actor: str, now: datetime, expires_at: datetime
) -> None:
    """Keeps a new token."""
    await database.execute(
        "INSERT INTO host_tokens (id, secret_sha256, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        token_id,
        secret_sha256,
        actor,
        now,
        expires_at,
    )


async def register(
    database: Database,
    token: tuple[UUID, bytes],
    registration: Registration,
    now: datetime,
    certificate_expires_at: datetime,
) -> bool:
    """Uses a token up and writes the host, in one statement; False, and nothing is written, if the token is unknown,
    used or expired. `token` is its id and the SHA-256 of its secret."""
    row = await database.row(
        _REGISTER,
        *token,
        now,
        registration.host_id,
        registration.name,
        registration.address,
        certificate_expires_at,
    )
    return row is not None

"""API keys as they may be shown."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.domain.principal import Scope
from api.domain.text import check_text
from api.errors import Invalid

KEY_NAME_BYTES_MAX = 200
KEYS_PER_TEAM_MAX = 500
"""That are neither revoked nor expired."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key. `last_used_at` is exact to a minute."""

    id: UUID
    team_id: UUID
    team_name: str
    name: str
    scopes: frozenset[Scope]
    is_platform_admin: bool
    created_by: UUID | None
    created_by_name: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


def check_key_name(name: str) -> str:
    """The name of a key. Raises: Invalid."""
    return check_text(name, "The name", max_bytes=KEY_NAME_BYTES_MAX, min_bytes=1, one_line=True, path=("name",))


def check_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    """When a key ends by itself. Raises: Invalid when that is over already."""
    if expires_at is not None and expires_at <= now:
        raise Invalid("The time at which the key expires is over already.", path=("expiresAt",))
    return expires_at

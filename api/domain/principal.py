"""Who is asking, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What a member may do in a team."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: an API key, called `name`, acting for one team."""

    team_id: UUID
    api_key_id: UUID
    name: str
    is_platform_admin: bool
    team_name: str = ""

    @property
    def actor(self) -> str:
        """As events and the audit log name it: `key-<uuid>`."""
        return f"key-{self.api_key_id}"


SYSTEM_ACTOR = "system"
"""The actor of what nobody asked for: reports of hosts, the reconciler."""

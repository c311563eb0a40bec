"""Invitations to teams."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from api.domain.principal import Role

INVITATION_LIFE = timedelta(days=7)
INVITATIONS_PER_TEAM_MAX = 200
"""That can still be accepted."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that can still be accepted, by whoever has its link and the account of this address."""

    id: UUID
    team_id: UUID
    team_name: str
    email: str
    role: Role
    created_at: datetime
    expires_at: datetime
    invited_by: str
    """The name or the address of the person who invites, or who made the key that does; empty for a key of the command
    line."""

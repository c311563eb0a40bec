"""Teams, and what their members may do to each other."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.domain.principal import Role
from api.domain.text import check_text
from api.errors import Forbidden

TEAM_NAME_BYTES_MAX = 100
TEAMS_PER_USER_MAX = 100
MEMBERS_PER_TEAM_MAX = 1000


@dataclass(frozen=True, slots=True)
class Team:
    """Who owns sandboxes and templates."""

    id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TeamSummary:
    """A team as platform admins see it."""

    team: Team
    member_count: int
    sandbox_count: int


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a team. `membership_id` is the key of the list."""

    membership_id: UUID
    user_id: UUID
    email: str
    name: str
    role: Role
    joined_at: datetime
    deactivated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TeamOfUser:
    """A team that a person is in, with the role there."""

    team: Team
    role: Role


def check_team_name(text: str) -> str:
    """The name of a team. Raises: Invalid."""
    return check_text(
        text.strip(), "The name", max_bytes=TEAM_NAME_BYTES_MAX, min_bytes=1, one_line=True, path=("name",)
    )


def check_may_give(actor_role: Role | None, role: Role) -> None:
    """Returns if somebody with the first role may give others the second one; an API key has none.

    Raises:
        Forbidden: only owners make owners.
    """
    if role is Role.OWNER and actor_role is not Role.OWNER:
        raise Forbidden("Only an owner of the team can make somebody an owner.", path=("role",))


def check_may_change(actor_role: Role | None, role: Role) -> None:
    """Returns if somebody with the first role may change or remove a member who has the second one.

    Raises:
        Forbidden: only owners touch owners.
    """
    if role is Role.OWNER and actor_role is not Role.OWNER:
        raise Forbidden("Only an owner of the team can change or remove an owner.")

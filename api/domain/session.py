"""Sessions: a person who is signed in with a browser."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from api.domain.principal import NO_TEAM_ID, Principal, PrincipalKind, Role, scopes_of
from api.domain.user import User

SESSION_LIFE = timedelta(days=30)
"""From signing in, however much it is used."""
SESSION_IDLE = timedelta(days=7)
"""Without use."""
SESSIONS_PER_USER_MAX = 50
"""At once; signing in once more ends the oldest."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A team that the person of a session is in. The team's id is the key among them."""

    team_id: UUID
    team_name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Session:
    """A good session: its person, the teams that they are in, oldest membership first, and the one it acts for."""

    id: UUID
    user: User
    seats: tuple[Seat, ...]
    team_id: UUID | None

    def seat(self, team_id: UUID | None) -> Seat | None:
        """The person's place in a team."""
        return next((seat for seat in self.seats if seat.team_id == team_id), None)

    @property
    def principal(self) -> Principal:
        """The person, acting for the team that they switched to; for their oldest one when they are not in that."""
        seat = self.seat(self.team_id) or (self.seats[0] if self.seats else None)
        return Principal(
            kind=PrincipalKind.USER,
            id=self.user.id,
            name=self.user.name or self.user.email,
            team_id=seat.team_id if seat else NO_TEAM_ID,
            scopes=scopes_of(seat.role if seat else None),
            is_platform_admin=self.user.is_platform_admin,
            team_name=seat.team_name if seat else "",
            role=seat.role if seat else None,
            session_id=self.id,
        )

    def still_holds(self, principal: Principal) -> bool:
        """Whether a principal that this session had before may still do all that it could."""
        if principal.is_platform_admin and not self.user.is_platform_admin:
            return False
        seat = self.seat(principal.team_id)
        return principal.scopes <= scopes_of(seat.role if seat else None)

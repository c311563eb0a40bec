"""Teams."""

from api.clock import Clock
from api.db import memberships, teams, users
from api.db.database import Database
from api.domain.page import Page, PageRequest
from api.domain.principal import (
    Principal,
    Role,
    Scope,
    require,
    require_platform_admin,
    require_user,
)
from api.domain.team import TEAMS_PER_USER_MAX, Team, TeamOfUser, TeamSummary, check_team_name
from api.errors import Conflict, Forbidden
from api.ids import Kind, new_id, wire_id
from api.services.audit import note
from api.services.sessions import Sessions


class Teams:
    """What a caller can see of teams, and making one."""

    def __init__(
        self, database: Database, clock: Clock, sessions: Sessions, per_user: int = TEAMS_PER_USER_MAX
    ) -> None:
        """`per_user`: how many teams somebody may be in who makes another; 0 leaves that to admins of the platform."""
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._per_user = per_user

    async def own(self, principal: Principal) -> Team | None:
        """The team that the caller acts for. Raises: MissingScope for somebody who is in none."""
        require(principal, Scope.READ)
        return await teams.get(self._database, principal.team_id)

    async def of_caller(self, principal: Principal) -> tuple[TeamOfUser, ...]:
        """The teams that the caller can switch to, the one it acts for among them; none for a key."""
        return await teams.of_user(self._database, principal.id) if principal.session_id else ()

    async def create(self, principal: Principal, name: str) -> Team:
        """Makes a team whose owner is the caller. The session goes on to act for the team that it acted for.

        Raises:
            Forbidden: the caller is no person, or may make no teams. Invalid: the name. Conflict: `LIMIT_REACHED`.
        """
        require_user(principal)
        team = Team(new_id(), check_team_name(name), self._clock.now())
        async with self._database.transaction() as transaction:
            if not await teams.lock_user(transaction, principal.id):
                raise Forbidden("This account is deactivated.")
            # as they are now: what is believed of the caller may be over
            person = await users.get(transaction, principal.id)
            is_platform_admin = person is not None and person.is_platform_admin
            if self._per_user == 0 and not is_platform_admin:
                raise Forbidden("Only admins of this platform make teams; ask one of them.")
            most = TEAMS_PER_USER_MAX if is_platform_admin else self._per_user
            if len(await teams.of_user(transaction, principal.id)) >= most:
                raise Conflict(f"Whoever is in {most} teams can make no more.", code="LIMIT_REACHED")
            await teams.insert(transaction, team)
            await memberships.insert(transaction, team.id, principal.id, Role.OWNER, team.created_at)
            await note(transaction, team.created_at, wire_id(Kind.TEAM, team.id))
        self._sessions.forget()
        return team

    async def list(self, principal: Principal, page: PageRequest) -> Page[TeamSummary]:
        """All teams, the oldest first. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await teams.page(self._database, page)

    async def count(self, principal: Principal) -> int:
        """How many teams there are. Raises: as `list`."""
        require_platform_admin(principal)
        return await teams.count(self._database)

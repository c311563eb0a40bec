"""What teams use."""

from api.db import usage
from api.db.database import Database
from api.domain.principal import Principal, Scope, require
from api.domain.usage import Usage


class Usages:
    """Of the principal's team."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_team(self, principal: Principal) -> Usage:
        """The blocks that the team's sandboxes and templates take. Raises: Unavailable."""
        require(principal, Scope.READ)
        return await usage.of_team(self._database, principal.team_id)

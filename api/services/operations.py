"""Operations: what became of commands."""

from collections.abc import Collection
from uuid import UUID

from api.db import operations
from api.db.database import Database
from api.domain.operation import Operation, OperationFilter
from api.domain.page import Page, PageRequest
from api.domain.principal import Principal, Scope, require, require_platform_admin, require_sight


class Operations:
    """Operations of the principal's team, and, for platform admins, of all teams."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, principal: Principal, operation_id: UUID) -> Operation | None:
        """One operation."""
        require(principal, Scope.READ)
        return await operations.get(self._database, principal.team_id, operation_id)

    async def latest(self, principal: Principal, sandbox_ids: Collection[UUID]) -> dict[UUID, Operation]:
        """Of sandboxes that the caller sees: the newest operation of each, by sandbox, in one query."""
        return await operations.latest(self._database, require_sight(principal), sandbox_ids)

    async def list_of_all_teams(
        self, principal: Principal, criteria: OperationFilter, page: PageRequest
    ) -> Page[Operation]:
        """A page of the operations of every team, the newest first. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await operations.page(self._database, criteria, page)

    async def count_of_all_teams(self, principal: Principal, criteria: OperationFilter) -> int:
        """How many of them there are. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await operations.count(self._database, criteria)

"""Operations: what became of commands."""

from collections.abc import Collection
from uuid import UUID

from api.db import operations
from api.db.database import Database
from api.domain.operation import Operation
from api.domain.principal import Principal, Scope, require


class Operations:
    """Operations of the principal's team."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, principal: Principal, operation_id: UUID) -> Operation | None:
        """One operation."""
        require(principal, Scope.READ)
        return await operations.get(self._database, principal.team_id, operation_id)

    async def latest(self, principal: Principal, sandbox_ids: Collection[UUID]) -> dict[UUID, Operation]:
        """The newest operation of each of these sandboxes, by sandbox, in one query."""
        require(principal, Scope.READ)
        return await operations.latest(self._database, principal.team_id, sandbox_ids)

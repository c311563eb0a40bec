"""Operations: what became of commands."""

from collections.abc import Collection
from uuid import UUID

from api.domain.operation import Operation
from api.domain.principal import Principal


class Operations:
    """Operations of the principal's team."""

    async def get(self, principal: Principal, operation_id: UUID) -> Operation | None:
        """One operation."""
        raise NotImplementedError

    async def latest(self, principal: Principal, sandbox_ids: Collection[UUID]) -> dict[UUID, Operation]:
        """The newest operation of each of these sandboxes, by sandbox, in one query."""
        raise NotImplementedError

"""Live views of operations."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from uuid import UUID

from api.clock import Clock
from api.db import operations
from api.db.database import Database
from api.db.events import Cursor
from api.domain.feed import Heartbeat, OperationChanged
from api.domain.operation import FINISHED, Operation
from api.domain.principal import Principal
from api.errors import NotFound
from api.services.streams import HEARTBEAT_SECONDS, happens


class _Watcher:
    """One stream: only the newest record waits for it."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.news = asyncio.Event()

    def offer(self, operation: Operation) -> None:
        # an operation only goes on; records may be handed out in another order than they were read
        newer = (operation.state in FINISHED, operation.progress_percent or 0)
        if newer > (self.operation.state in FINISHED, self.operation.progress_percent or 0):
            self.operation = operation
            self.news.set()


class OperationFeed:
    """The reader of the event log hands over what its lines are about; each operation that is watched is then read
    once, for all who watch it."""

    def __init__(self, database: Database, clock: Clock, reader_cursor: Callable[[], Cursor]) -> None:
        self._database = database
        self._clock = clock
        self._cursor = reader_cursor
        self._watchers: dict[UUID, set[_Watcher]] = {}

    async def changed(self, operation_ids: Collection[UUID], sandbox_ids: Collection[UUID]) -> None:
        """Lines were read about these; one about a sandbox may have ended an operation of it. Raises: Unavailable."""
        touched = [
            operation_id
            for operation_id, watchers in self._watchers.items()
            if operation_id in operation_ids or any(watcher.operation.sandbox_id in sandbox_ids for watcher in watchers)
        ]
        if not touched:
            return
        for operation in await operations.load(self._database, touched):
            for watcher in self._watchers.get(operation.id, ()):
                watcher.offer(operation)

    async def watch(
        self, principal: Principal, operation_id: UUID
    ) -> AsyncGenerator[OperationChanged | Heartbeat, None]:
        """The operation as it is, then every change of its progress and state; ends with it.

        Raises:
            NotFound: no such operation. Unavailable.
        """
        operation = await self._get(principal, operation_id)
        watcher = _Watcher(operation)
        self._watchers.setdefault(operation_id, set()).add(watcher)
        try:
            # once more: what happened before this stream was known to the reader
            watcher.operation = await self._get(principal, operation_id)
            yield OperationChanged(watcher.operation, str(self._cursor()))
            while watcher.operation.state not in FINISHED:
                if await happens(watcher.news, HEARTBEAT_SECONDS):
                    watcher.news.clear()
                    yield OperationChanged(watcher.operation, str(self._cursor()))
                else:
                    yield Heartbeat(str(self._cursor()), self._clock.now())
        finally:
            watchers = self._watchers[operation_id]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[operation_id]

    async def _get(self, principal: Principal, operation_id: UUID) -> Operation:
        operation = await operations.get(self._database, principal.team_id, operation_id)
        if operation is None:
            raise NotFound("There is no such operation.", path=("id",))
        return operation

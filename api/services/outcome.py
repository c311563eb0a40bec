"""What a command answers with, and waiting for it."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from api.db import operations, sandboxes
from api.db.database import Database
from api.domain.operation import FINISHED, Operation
from api.domain.sandbox import Sandbox

POLL_SECONDS = 0.25
"""How often an operation is looked up that another replica carries out, or that a report has to resolve."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The sandbox and the operation as they are when the caller stops waiting: a RUNNING operation goes on by itself,
    a FAILED one says why."""

    sandbox: Sandbox
    operation: Operation


class Outcomes:
    """Operations that this replica carries out, and who waits for them.

    An operation ends with whatever comes first: the host's answer to the call, or its report of the change.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._expected: dict[UUID, asyncio.Future[Outcome]] = {}

    def expect(self, operation_id: UUID) -> None:
        """Begins to take in an operation's end. `forget` must follow, however it ends."""
        self._expected[operation_id] = asyncio.get_running_loop().create_future()

    def settle(self, outcome: Outcome) -> None:
        """Tells everybody who waits. Nobody may, and it may be told twice."""
        future = self._expected.get(outcome.operation.id)
        if future is not None and not future.done():
            future.set_result(outcome)

    async def look_up(self, begun: Outcome) -> None:
        """Settles an expected operation that has ended in the database, though nobody has told. Raises: Unavailable."""
        if self.is_settled(begun.operation.id):
            return
        current = await self._read(begun)
        if current.operation.state in FINISHED:
            self.settle(current)

    def is_settled(self, operation_id: UUID) -> bool:
        """Whether an expected operation's end is known."""
        future = self._expected.get(operation_id)
        return future is not None and future.done()

    def forget(self, operation_id: UUID) -> None:
        """The call is over. Who still waits looks the operation up from now on."""
        self._expected.pop(operation_id, None)

    async def wait(self, begun: Outcome, seconds: float) -> Outcome:
        """The end of an operation, or how it is when the time is over. Giving up waiting changes nothing."""
        if seconds <= 0 or begun.operation.state in FINISHED:
            return begun
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        future = self._expected.get(begun.operation.id)
        while True:
            remaining = max(0.0, deadline - loop.time())
            if future is None:
                await asyncio.sleep(min(remaining, POLL_SECONDS))
            else:
                await asyncio.wait({future}, timeout=min(remaining, POLL_SECONDS))
                if future.done():
                    return future.result()
                if begun.operation.id in self._expected and loop.time() < deadline:
                    # this replica is at it, and will tell
                    continue
            current = await self._read(begun)
            if current.operation.state in FINISHED or loop.time() >= deadline:
                return current

    async def _read(self, begun: Outcome) -> Outcome:
        sandbox = await sandboxes.get(self._database, begun.sandbox.team_id, begun.sandbox.id) or begun.sandbox
        if sandbox.last_operation is not None and sandbox.last_operation.id == begun.operation.id:
            return Outcome(sandbox, sandbox.last_operation)
        # a later command was accepted meanwhile
        operation = await operations.get(self._database, begun.operation.team_id, begun.operation.id)
        return Outcome(sandbox, operation or begun.operation)

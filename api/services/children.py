"""Children of forks: what becomes of them when the fork has ended."""

from datetime import timedelta
from uuid import UUID

from api.db import forks
from api.db.commands import Accepted
from api.domain.operation import Stage
from api.domain.sandbox import State, deadline_of
from api.errors import NestboxError
from api.ids import new_id
from api.services.resources import Resources


class Children:
    """Writes of forks that have ended; both may be repeated, by several replicas at once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def begin(self, fork_id: UUID, stages: tuple[Stage, ...] = ()) -> tuple[Accepted, ...]:
        """The fork has succeeded; its children that were pending, each with the command that starts it, which has to be
        carried out. Raises: Unavailable."""
        database, now = self._resources.database, self._resources.clock.now()
        pending = [child.id for child in await forks.children(database, fork_id) if child.state is State.PENDING]
        deadline = now + timedelta(seconds=deadline_of(State.STARTING) or 0)
        operations = [(child, new_id()) for child in pending]
        begun = await forks.begin(database, fork_id, operations, stages, now, deadline)
        self._resources.waker.wake()
        return begun

    async def fail(self, fork_id: UUID, error: NestboxError) -> None:
        """The fork has failed, and so have its pending children. Raises: Unavailable."""
        if await forks.fail(self._resources.database, fork_id, error, self._resources.clock.now()):
            self._resources.waker.wake()

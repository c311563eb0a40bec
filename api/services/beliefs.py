"""What was found out about callers a moment ago."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from uuid import UUID

from api.clock import Clock

BELIEVED_SECONDS = 2.5
"""How long what was found out holds. With the period of rechecks (`RECHECK_SECONDS`) it stays below the five seconds
within which whoever was shut out must have lost everything."""
REMEMBERED_MAX = 10_000

T = TypeVar("T")


class Beliefs(Generic[T]):
    """Things by their id, each believed for a moment, so that a busy caller is not one query more at each request.
    What is not there is not remembered."""

    def __init__(self, clock: Clock, look_up: Callable[[UUID], Awaitable[T | None]]) -> None:
        self._clock = clock
        self._look_up = look_up
        self._believed: OrderedDict[UUID, tuple[T, float]] = OrderedDict()
        self._forgotten = 0

    async def get(self, thing_id: UUID) -> T | None:
        """The thing, as it was at most `BELIEVED_SECONDS` ago. Raises: Unavailable."""
        now = self._clock.monotonic()
        believed = self._believed.get(thing_id)
        if believed is not None and now < believed[1]:
            return believed[0]
        before = self._forgotten
        found = await self._look_up(thing_id)
        if found is None:
            self._believed.pop(thing_id, None)
        elif before == self._forgotten:
            # what was read before something was forgotten may be what was to be forgotten
            self._believed[thing_id] = (found, now + BELIEVED_SECONDS)
            self._believed.move_to_end(thing_id)
            if len(self._believed) > REMEMBERED_MAX:
                self._believed.popitem(last=False)
        return found

    def forget(self) -> None:
        """Believes nothing any more: somebody's rights have changed on this replica, and it is to know at once."""
        self._believed.clear()
        self._forgotten += 1

"""What was found out about callers a moment ago."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from uuid import UUID

from api.clock import Clock
from api.errors import Unavailable

BELIEVED_SECONDS = 2.5
"""How long what was found out holds. With the period of rechecks (`RECHECK_SECONDS`) it stays below the five seconds
within which whoever was shut out must have lost everything."""
REMEMBERED_MAX = 10_000
STRANGERS_AT_ONCE = 4
"""Of the 16 connections of a replica: anybody can make up ids, each of which has to be looked up."""
STRANGER_WAIT_SECONDS = 1.0

T = TypeVar("T")


class Beliefs(Generic[T]):
    """Things by their id, each believed for a moment, so that a busy caller is not one query more at each request.
    What is not there is not remembered, and is looked up a few at a time, so that it keeps nobody else waiting."""

    def __init__(self, clock: Clock, look_up: Callable[[UUID], Awaitable[T | None]]) -> None:
        self._clock = clock
        self._look_up = look_up
        self._believed: OrderedDict[UUID, tuple[T, float, int]] = OrderedDict()
        self._forgotten = 0
        self._strangers = asyncio.Semaphore(STRANGERS_AT_ONCE)

    async def get(self, thing_id: UUID, *, is_known: bool = False) -> T | None:
        """The thing, as it was at most `BELIEVED_SECONDS` ago. `is_known`: it was there before, so it need not wait
        among strangers. Raises: Unavailable, also when too many that are not known are looked up."""
        now = self._clock.monotonic()
        believed = self._believed.get(thing_id)
        if believed is not None and now < believed[1] and believed[2] == self._forgotten:
            return believed[0]
        # what is read before something is forgotten may be what is to be forgotten
        before = self._forgotten
        is_known = is_known or believed is not None
        found = await (self._look_up(thing_id) if is_known else self._look_up_stranger(thing_id))
        if found is None:
            self._believed.pop(thing_id, None)
        else:
            self._believed[thing_id] = (found, now + BELIEVED_SECONDS, before)
            self._believed.move_to_end(thing_id)
            if len(self._believed) > REMEMBERED_MAX:
                self._believed.popitem(last=False)
        return found

    async def _look_up_stranger(self, thing_id: UUID) -> T | None:
        try:
            async with asyncio.timeout(STRANGER_WAIT_SECONDS):
                await self._strangers.acquire()
        except TimeoutError:
            raise Unavailable("Too many callers whom nobody knows ask at this moment; try again.") from None
        try:
            return await self._look_up(thing_id)
        finally:
            self._strangers.release()

    def forget(self) -> None:
        """Believes nothing any more: somebody's rights have changed on this replica, and it is to know at once."""
        # they stay known, so that real callers need not wait among strangers to be looked up again
        self._forgotten += 1

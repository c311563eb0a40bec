"""Guests that hang: their machine runs, but nothing in it answers.

Every machine is pinged every `INTERVAL_SECONDS`. A guest that leaves `MISSES_MAX` pings in a row unanswered, each for
`PING_SECONDS`, is hung: so that is noticed after 40 s at most. The program in the guest that answers needs a moment of
its processor in each ten seconds, which it gets however many others want it: a busy guest is not taken for hung.
Pings of the watchdog are no activity. A machine that stands still until there is room on the host's disk cannot answer
and is not hung: it is left alone.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from uuid import UUID

import structlog

from agent.drivers.driver import LiveMachine
from agent.errors import AgentError, Code
from agent.keeper import Keeper
from agent.parts import Parts

_log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 10.0
PING_SECONDS = 10.0
MISSES_MAX = 3


class Watchdog:
    """Made and run by the host."""

    def __init__(self, keepers: Mapping[UUID, Keeper], parts: Parts) -> None:
        self.ping_seconds = PING_SECONDS
        self._keepers = keepers
        self._parts = parts
        self._under_way: dict[UUID, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            self.look()

    def look(self) -> None:
        """Begins to ping every machine that is not being looked at still; a hung one does not delay the others."""
        for keeper in self._keepers.values():
            live = keeper.lifecycle.live
            if live is not None and not live.waits_for_room and keeper.sandbox_id not in self._under_way:
                self._under_way[keeper.sandbox_id] = self._parts.spawn(self._look_at(keeper, live))

    async def _look_at(self, keeper: Keeper, live: LiveMachine) -> None:
        try:
            for _ in range(MISSES_MAX):
                if await self._answers(live) or live.waits_for_room:
                    return
                if keeper.lifecycle.live is not live or keeper.is_occupied:
                    return
                _log.warning("no answer from the guest", sandbox_id=str(keeper.sandbox_id))
            keeper.take_for_hung(live, f"The guest did not answer for {MISSES_MAX * self.ping_seconds:g} s.")
        finally:
            del self._under_way[keeper.sandbox_id]

    async def _answers(self, live: LiveMachine) -> bool:
        """Whether the guest answers in time. One that cannot even be asked gets the whole time too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.ping_seconds):
                try:
                    await live.ping()
                except AgentError as error:
                    if error.code is Code.MACHINE_GONE:
                        return True  # it is dead, which is noticed by itself
                    await asyncio.Event().wait()
                return True
        return False

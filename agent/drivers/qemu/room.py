"""Machines that stand still because the host's disk is full.

QEMU stops a guest of which a write finds no room, keeps the request, and makes it again at `cont` (`werror=enospc`, as
it does unless told otherwise): nothing is lost, and the guest notices nothing but the time. So `cont` is sent every few
seconds, until it runs.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from agent.drivers.qemu.monitor import Monitor, MonitorError
from agent.drivers.qemu.tasks import Tasks
from agent.errors import AgentError, Code

RETRY_SECONDS = 2.0
STANDS = "io-error"  # of `query-status`
log = structlog.get_logger()


async def _nothing() -> None:
    pass


class Room:
    """What one QEMU finds on the host's disk, from its start or adoption to its end."""

    def __init__(self, monitor: Monitor, name: str) -> None:
        """`name` is for the log."""
        self.is_awaited = False
        """Whether the guest stands still for want of it, or did so a moment ago. Not known of a QEMU that does not
        answer."""
        self.is_held = False
        """Set by whoever stops the machine, before that: it is not let go on meanwhile."""
        self.at_end: Callable[[], Awaitable[None]] = _nothing
        """Called when the guest has gone on."""
        self._monitor = monitor
        self._name = name
        self._times = 0
        self._is_tried = False

    def is_short(self, tasks: Tasks) -> None:
        """To be called when QEMU has stopped the guest. From now on it is tried until it runs again, by one task; that
        ends with the connection to QEMU."""
        self.is_awaited = True
        self._times += 1
        if not self._is_tried and not self._monitor.is_lost:
            self._is_tried = True
            tasks.keep(self._try(), f"room for {self._name}")

    def require(self) -> None:
        """Before a machine is saved, which takes room itself.

        Raises: AgentError DISK_FULL.
        """
        if self.is_awaited:
            raise AgentError(Code.DISK_FULL, "The host's disk is full: the sandbox stands still until there is room.")

    async def _try(self) -> None:
        log.warning("no_room", machine=self._name)
        try:
            await self._until_it_runs()
        finally:
            self._is_tried = self.is_awaited = False
        if not self._monitor.is_lost:
            log.info("room_again", machine=self._name)
            await self.at_end()

    async def _until_it_runs(self) -> None:
        while not self._monitor.is_lost:
            await asyncio.sleep(RETRY_SECONDS)
            times = self._times
            try:
                stands = await self._monitor.status() == STANDS
                if stands and not self.is_held:
                    await self._monitor.run("cont")
            except MonitorError:
                # whether it hangs is for the watchdog to find out
                self.is_awaited = False
                continue
            # it may have been stopped again while it was asked
            self.is_awaited = stands or times != self._times
            if not self.is_awaited and not self.is_held:
                return

"""What the keepers of all machines share: made once, in `agent/host.py`."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.drivers.driver import Driver
from agent.errors import AgentError, Code
from agent.faults import NO_FAULTS, Faults
from agent.forks import Forks
from agent.inventory import Inventory
from agent.ledger import Ledger
from agent.machine import Spec
from agent.templates import Templates

MACHINE_OVERHEAD_MB = 128
"""What a machine needs beside its guest's memory: QEMU itself and its translation buffer."""

HOST_RESERVE_MB = 256
"""Memory that is left to the host's own programs, always."""


CAPACITY_WAIT_SECONDS = 60.0
"""How long a machine waits for the memory of others that are being started: 50 of them take ~10 s under TCG."""


class Capacity:
    """Whether there is memory for one more machine.

    The rule: what the kernel says is available, less what machines that are being started right now will take, less
    `HOST_RESERVE_MB`, must hold the new one's memory and `MACHINE_OVERHEAD_MB`. Machines that run count by what they
    use, not by what they may use: clones share their image's pages, and the control plane decides how far to overbook.
    What the driver's pool uses counts as available: a machine that needs it gets it (`Driver.reclaimable_mb`).

    One that would fit beside those that run, though not beside all that are being started, waits for these: they take
    less than they may, so that a burst of creates gets as many machines as one after the other would.
    """

    def __init__(self, available_mb: Callable[[], int] | None, reclaimable_mb: Callable[[], int] = lambda: 0) -> None:
        """`available_mb` None: without limit, for machines that use no memory."""
        self._available_mb = available_mb
        self._reclaimable_mb = reclaimable_mb
        self._being_started_mb = 0
        self._started = asyncio.Condition()

    @asynccontextmanager
    async def held_for(self, spec: Spec, wait_seconds: float = CAPACITY_WAIT_SECONDS) -> AsyncIterator[None]:
        """Holds a machine's memory while it is started. Raises: AgentError NO_CAPACITY: at once where waiting would not
        help, else after so long."""
        need_mb = spec.memory_mb + MACHINE_OVERHEAD_MB
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds), self._started:
                await self._started.wait_for(lambda: not self._is_worth_waiting(need_mb))
        if (free_mb := self._free_mb()) < need_mb:
            message = f"it needs {need_mb} MiB, {max(int(free_mb), 0)} MiB are free"
            raise AgentError(Code.NO_CAPACITY, f"This host has no memory for the sandbox now: {message}.")
        self._being_started_mb += need_mb
        try:
            yield
        finally:
            self._being_started_mb -= need_mb
            async with self._started:
                self._started.notify_all()

    def _is_worth_waiting(self, need_mb: int) -> bool:
        free_mb = self._free_mb()
        return free_mb < need_mb <= free_mb + self._being_started_mb

    def _free_mb(self) -> float:
        if self._available_mb is None:
            return math.inf
        return self._available_mb() + self._reclaimable_mb() - HOST_RESERVE_MB - self._being_started_mb


@dataclass(slots=True)
class Parts:
    """`closed_to_new` is set when the host is being shut down. `spawn` starts a task that the host owns. `monotonic`
    gives seconds and never goes back, as `now` may."""

    driver: Driver
    ledger: Ledger
    inventory: Inventory
    capacity: Capacity
    templates: Templates
    forks: Forks
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
    faults: Faults = NO_FAULTS
    closed_to_new: bool = False

    def require_open(self) -> None:
        """Raises: AgentError SHUTTING_DOWN."""
        if self.closed_to_new:
            raise AgentError(Code.SHUTTING_DOWN, "This host is being shut down and takes no new machines.")

"""What the keepers of all machines share: made once, in `agent/host.py`."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
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


class Capacity:
    """Whether there is memory for one more machine.

    The rule: what the kernel says is available, less what machines that are being started right now will take, less
    `HOST_RESERVE_MB`, must hold the new one's memory and `MACHINE_OVERHEAD_MB`. Machines that run count by what they
    use, not by what they may use: clones share their image's pages, and the control plane decides how far to overbook.
    What the driver's pool uses counts as available: a machine that needs it gets it (`Driver.reclaimable_mb`).
    """

    def __init__(self, available_mb: Callable[[], int] | None, reclaimable_mb: Callable[[], int] = lambda: 0) -> None:
        """`available_mb` None: without limit, for machines that use no memory."""
        self._available_mb = available_mb
        self._reclaimable_mb = reclaimable_mb
        self._being_started_mb = 0

    @contextmanager
    def held_for(self, spec: Spec) -> Iterator[None]:
        """Holds a machine's memory while it is started. Raises: AgentError NO_CAPACITY."""
        need = spec.memory_mb + MACHINE_OVERHEAD_MB
        if self._available_mb is not None:
            free = self._available_mb() + self._reclaimable_mb() - HOST_RESERVE_MB - self._being_started_mb
            if free < need:
                raise AgentError(
                    Code.NO_CAPACITY,
                    f"This host has no memory for the sandbox now: it needs {need} MiB, {max(free, 0)} MiB are free.",
                )
        self._being_started_mb += need
        try:
            yield
        finally:
            self._being_started_mb -= need


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

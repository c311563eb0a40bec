"""What is kept of sandboxes for their children: until each of them was created, has failed or was deleted."""

from collections.abc import Callable
from uuid import UUID

import structlog

from agent.drivers.driver import Driver
from agent.errors import AgentError, Code
from agent.inventory import Inventory
from agent.ledger import Ledger, LedgerError
from agent.machine import State
from agent.template import KeptFork

_log = structlog.get_logger(__name__)

FORK_KEPT_SECONDS = 600.0
"""A child that has not been created after so long never will be: the control plane's own deadlines are below it. On the
monotonic clock, from the fork or, if that was later, the start of the agent."""


class Forks:
    """Made once, in `agent/host.py`."""

    def __init__(self, driver: Driver, ledger: Ledger, inventory: Inventory, monotonic: Callable[[], float]) -> None:
        self._driver = driver
        self._ledger = ledger
        self._inventory = inventory
        self._monotonic = monotonic
        self._kept: dict[UUID, tuple[KeptFork, float]] = {}

    @property
    def snapshot_ids(self) -> frozenset[UUID]:
        """Of everything that is kept."""
        return frozenset(self._kept)

    async def load(self) -> None:
        """What an earlier agent kept."""
        now = self._monotonic()
        self._kept = {fork.snapshot_id: (fork, now) for fork in await self._ledger.forks()}

    async def begin(self, fork: KeptFork) -> None:
        """A snapshot is going to be made for these children. Raises: AgentError DISK_FULL; INVALID: the id is taken."""
        if fork.snapshot_id in self._kept:
            raise AgentError(Code.INVALID, "This id belongs to another fork.")
        try:
            await self._ledger.keep_fork(fork)
        except LedgerError as error:
            message = "The host cannot write its ledger: its disk is probably full."
            raise AgentError(Code.DISK_FULL, message, detail=str(error)) from error
        self._kept[fork.snapshot_id] = (fork, self._monotonic())

    async def drop(self, snapshot_id: UUID) -> None:
        """Lets go of a snapshot. What fails is tried again by `tend`."""
        try:
            await self._driver.drop_snapshot(snapshot_id)
            await self._ledger.forget_fork(snapshot_id)
        except (AgentError, LedgerError, OSError) as error:
            _log.warning("a snapshot could not be dropped", snapshot_id=str(snapshot_id), error=str(error))
            return
        self._kept.pop(snapshot_id, None)

    async def tend(self) -> None:
        """Lets go of what nobody waits for any more."""
        for fork, since in tuple(self._kept.values()):
            if self._is_over(fork, since):
                await self.drop(fork.snapshot_id)

    def _is_over(self, fork: KeptFork, since: float) -> bool:
        parent = self._inventory.get(fork.parent_id)
        if parent is not None and parent.state is State.SNAPSHOTTING and parent.snapshot_id == fork.snapshot_id:
            return False
        if self._monotonic() - since >= FORK_KEPT_SECONDS:
            return True
        children = [self._inventory.get(child) for child in fork.children]
        return all(child is not None and child.state is not State.STARTING for child in children)

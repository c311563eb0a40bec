"""What is kept of sandboxes for their children: until each of them was created, has failed or was deleted."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from agent.drivers.driver import Driver
from agent.errors import AgentError, Code
from agent.inventory import Inventory
from agent.ledger import Ledger, LedgerError
from agent.machine import Spec, State
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
        self._dropping: dict[UUID, KeptFork] = {}
        self._held: Counter[UUID] = Counter()

    @property
    def snapshot_ids(self) -> frozenset[UUID]:
        """Of everything that is kept."""
        return frozenset(self._kept) | frozenset(self._dropping)

    async def on_template(self, template_id: UUID) -> int:
        """How many of them began as this template."""
        forks = (*(fork for fork, _ in self._kept.values()), *self._dropping.values())
        parents = [self._inventory.get(fork.parent_id) or await self._ledger.find(fork.parent_id) for fork in forks]
        return sum(parent is not None and parent.spec.template_id == template_id for parent in parents)

    async def load(self) -> None:
        """What an earlier agent kept; of what it had no time to complete nothing is left."""
        now = self._monotonic()
        self._kept = {fork.snapshot_id: (fork, now) for fork in await self._ledger.forks()}
        for snapshot_id in tuple(self._kept):
            if not await self._driver.has_snapshot(snapshot_id):
                await self.drop(snapshot_id)

    async def begin(self, fork: KeptFork) -> None:
        """A snapshot is going to be made for these children. Raises: AgentError DISK_FULL; INVALID: the id is taken."""
        if fork.snapshot_id in self.snapshot_ids:
            raise AgentError(Code.INVALID, "This id belongs to another fork.")
        self._kept[fork.snapshot_id] = (fork, self._monotonic())
        try:
            await self._ledger.keep_fork(fork)
        except LedgerError as error:
            del self._kept[fork.snapshot_id]
            message = "The host cannot write its ledger: its disk is probably full."
            raise AgentError(Code.DISK_FULL, message, detail=str(error)) from error

    @contextmanager
    def held_for(self, spec: Spec) -> Iterator[None]:
        """Keeps what a child begins as, if it is one, until it is made, however long that takes.

        Raises: AgentError UNKNOWN_SNAPSHOT: it is kept no longer, or never was.
        """
        if (snapshot_id := spec.snapshot_id) is None:
            yield
            return
        if snapshot_id not in self._kept:
            raise AgentError(Code.UNKNOWN_SNAPSHOT, "What was kept for this fork is not there any more.")
        self._held[snapshot_id] += 1
        try:
            yield
        finally:
            self._held[snapshot_id] -= 1
            if not self._held[snapshot_id]:
                del self._held[snapshot_id]

    async def drop(self, snapshot_id: UUID) -> None:
        """Lets go of a snapshot. What fails is tried again by `tend`."""
        if (kept := self._kept.pop(snapshot_id, None)) is None:
            return
        self._dropping[snapshot_id] = kept[0]
        try:
            await self._driver.drop_snapshot(snapshot_id)
            await self._ledger.forget_fork(snapshot_id)
        except (AgentError, LedgerError, OSError) as error:
            _log.warning("a snapshot could not be dropped", snapshot_id=str(snapshot_id), error=str(error))
            self._kept[snapshot_id] = kept
        finally:
            del self._dropping[snapshot_id]

    async def tend(self) -> None:
        """Lets go of what nobody waits for any more."""
        for fork, since in tuple(self._kept.values()):
            if self._is_over(fork, since):
                await self.drop(fork.snapshot_id)

    def _is_over(self, fork: KeptFork, since: float) -> bool:
        if self._held[fork.snapshot_id]:
            return False
        parent = self._inventory.get(fork.parent_id)
        if parent is not None and parent.state is State.SNAPSHOTTING and parent.snapshot_id == fork.snapshot_id:
            return False
        if self._monotonic() - since >= FORK_KEPT_SECONDS:
            return True
        children = [self._inventory.get(child) for child in fork.children]
        return all(child is not None and child.state is not State.STARTING for child in children)

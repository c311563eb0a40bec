"""All machines of this host as they are, and everybody who watches them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from agent.errors import AgentError, Code
from agent.ledger import Activity, Change
from agent.machine import Machine, State
from agent.template import Template, TemplateState

WATCH_QUEUE_MAX = 4096
"""Changes that wait for one watcher: at ~0.5 KB each 2 MB a watcher, and a minute of a busy host."""

WATCHERS_MAX = 64
"""One per replica of the control plane, and some for people: 64 × 2 MB at the most."""

TOMBSTONES_LISTED = timedelta(minutes=10)
"""How long the inventory shows a deleted machine. Whoever missed it deletes again, which is answered with DELETED."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every machine and template, and the sequence of the newest change that is in it."""

    machines: tuple[Machine, ...]
    sequence: int
    templates: tuple[Template, ...] = ()


class Watch:
    """The inventory as it was when the watch began, then every change since, in order."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._changes: asyncio.Queue[Machine | Template | None] = asyncio.Queue(WATCH_QUEUE_MAX + 1)
        self._overrun = False
        self._ended = False

    def offer(self, change: Machine | Template | None) -> None:
        """Adds a change, or the end (None). When too many wait, all of them are dropped and the watch ends."""
        if self._ended:
            return
        self._ended = change is None
        if change is None or self._changes.qsize() < WATCH_QUEUE_MAX:
            self._changes.put_nowait(change)
            return
        self._overrun = self._ended = True
        while not self._changes.empty():
            self._changes.get_nowait()
        self._changes.put_nowait(None)

    async def changes(self) -> AsyncIterator[Machine | Template]:
        """Every change. Ends when the agent stops. Raises: AgentError BUSY when they were not read fast enough."""
        while (change := await self._changes.get()) is not None:
            yield change
        if self._overrun:
            raise AgentError(Code.BUSY, f"More than {WATCH_QUEUE_MAX} changes were not read: start over.")


class Inventory:
    """Fed by the ledger with each change that it has written, in order; lives in the event loop only."""

    def __init__(self) -> None:
        self._machines: dict[UUID, Machine] = {}
        self._templates: dict[UUID, Template] = {}
        self._sequence = 0
        self._watches: set[Watch] = set()
        self._touched: dict[UUID, datetime] = {}

    def load(self, machines: list[Machine], templates: list[Template] | None = None) -> None:
        """What the ledger held at the start."""
        self._machines = {machine.sandbox_id: machine for machine in machines}
        templates = templates or []
        self._templates = {template.template_id: template for template in templates}
        sequences = [machine.sequence for machine in machines] + [template.sequence for template in templates]
        self._sequence = max(sequences, default=0)

    def publish(self, change: Change) -> None:
        """Takes a change and passes it on to everybody who watches."""
        if isinstance(change, Template):
            self._templates[change.template_id] = change
            self._tell(change)
        else:
            self._publish_machine(change)

    def _publish_machine(self, change: Machine | Activity) -> None:
        known = self._machines.get(change.sandbox_id)
        machine = change
        if isinstance(machine, Activity):
            if known is None:
                return
            auto_pause_at = machine.auto_pause_at if known.state is State.RUNNING else None
            machine = replace(known, sequence=machine.sequence, auto_pause_at=auto_pause_at)
        if known is not None and known.last_active_at > machine.last_active_at:
            machine = replace(machine, last_active_at=known.last_active_at)
        if known is not None:
            waits = known.waits_for_room and machine.state is State.RUNNING
            machine = replace(machine, stored_bytes=known.stored_bytes, waits_for_room=waits)
        self._machines[machine.sandbox_id] = machine
        self._tell(machine)

    def _tell(self, change: Machine | Template) -> None:
        self._sequence = max(self._sequence, change.sequence)
        for watch in self._watches:
            watch.offer(change)

    def note_stored(self, sandbox_id: UUID, stored_bytes: int) -> None:
        """Notes what a machine's files take. Not a change: whoever reads the inventory sees it."""
        if (machine := self._machines.get(sandbox_id)) is not None:
            self._machines[sandbox_id] = replace(machine, stored_bytes=stored_bytes)

    def note_waiting(self, sandbox_id: UUID, *, waits_for_room: bool) -> None:
        """Notes whether a machine that runs stands still for want of room. No more a change than `note_stored`."""
        machine = self._machines.get(sandbox_id)
        if machine is not None and machine.waits_for_room != waits_for_room:
            waits = waits_for_room and machine.state is State.RUNNING
            self._machines[sandbox_id] = replace(machine, waits_for_room=waits)

    def touch(self, sandbox_id: UUID, moment: datetime) -> None:
        """Notes that a machine is in use. Not a change: nobody is told."""
        machine = self._machines.get(sandbox_id)
        if machine is not None and machine.last_active_at < moment:
            self._machines[sandbox_id] = replace(machine, last_active_at=moment)
            self._touched[sandbox_id] = moment

    def take_touched(self) -> dict[UUID, datetime]:
        """When machines were last used, those that changed since the last call."""
        touched, self._touched = self._touched, {}
        return touched

    def get(self, sandbox_id: UUID) -> Machine | None:
        """A machine as it is; None also when it was deleted long ago."""
        return self._machines.get(sandbox_id)

    def template(self, template_id: UUID) -> Template | None:
        """A template as it is; None also when it was deleted long ago."""
        return self._templates.get(template_id)

    def machines_on(self, template_id: UUID) -> int:
        """How many machines stand on a template: their disks need its image."""
        standing = frozenset(State) - {State.DELETED, State.FAILED}
        return sum(m.spec.template_id == template_id and m.state in standing for m in self._machines.values())

    def snapshot(self) -> Snapshot:
        """All machines and templates as they are now."""
        return Snapshot(tuple(self._machines.values()), self._sequence, tuple(self._templates.values()))

    def forget_deleted(self, before: datetime, *, failed_before: datetime) -> None:
        """Shows no longer what was deleted before the first, and templates that failed before the second."""
        gone = [m.sandbox_id for m in self._machines.values() if m.state is State.DELETED and m.changed_at < before]
        for sandbox_id in gone:
            del self._machines[sandbox_id]
        limits = {TemplateState.DELETED: before, TemplateState.FAILED: failed_before}
        templates = self._templates.values()
        for template_id in [t.template_id for t in templates if t.state in limits and t.changed_at < limits[t.state]]:
            del self._templates[template_id]

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Begins a watch; nothing is lost between its snapshot and its changes. Raises: AgentError BUSY."""
        if len(self._watches) >= WATCHERS_MAX:
            raise AgentError(Code.BUSY, f"This host is watched by {WATCHERS_MAX} already.")
        watch = Watch(self.snapshot())
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    def end_watches(self) -> None:
        """Ends every watch, after what it still has to read."""
        for watch in self._watches:
            watch.offer(None)

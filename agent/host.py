"""This host: its machines, each with a keeper, from the start of the agent to its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import structlog

from agent.adoption import UNFINISHED, resolve
from agent.computer import Computer, boot_id, host_id, read_computer
from agent.drivers.driver import Driver, DriverFacts, LiveMachine
from agent.errors import AgentError, Code
from agent.faults import NO_FAULTS, Faults
from agent.forks import Forks
from agent.garbage import GARBAGE_KEPT, Garbage, GarbageItem
from agent.inventory import TOMBSTONES_LISTED, Inventory, Snapshot, Watch
from agent.keeper import Keeper
from agent.ledger import Ledger, LedgerError
from agent.machine import Action, Cause, Machine, Pause, State
from agent.parts import Capacity, Parts
from agent.reaper import Reaper
from agent.record import Record
from agent.stored import Stored
from agent.template import Template
from agent.template_records import TemplateRecords
from agent.templates import Templates
from agent.watchdog import Watchdog

_log = structlog.get_logger(__name__)

DEFAULT_SHAPE = ("base", 1, 512)
"""Template, vCPUs and MiB of the image that is made ready when the agent starts."""

ADOPT_CONCURRENCY = 8
PAUSE_ALL_CONCURRENCY = 2
"""Pauses at once while the host is shut down: they wait for the disk more than for a processor."""

HOUSEKEEPING_SECONDS = 5.0
"""How often activity goes to the ledger, and deleted machines leave the inventory."""

TOMBSTONES_KEPT = timedelta(days=7)
"""How long the ledger remembers a deleted sandbox, to refuse what comes late. The control plane's own deadlines are
minutes."""

STOP_SECONDS = 10.0
"""How long commands that are under way may take when the agent stops; then they are left to the next agent."""

PING_DEADLINE_SECONDS = 5.0

GARBAGE_SECONDS = 300.0
"""Between two looks for files that belong to nothing; what is found twice is put aside."""

TEND_AGAIN_SECONDS = 30.0
"""After the driver's own task failed."""


@dataclass(frozen=True, slots=True)
class Description:
    """What `GetHost` says."""

    host_id: UUID
    agent_incarnation: UUID
    computer: Computer
    driver: DriverFacts
    machines_running: int
    shortcomings: tuple[str, ...]


class Host:
    """Made by `open_host`."""

    def __init__(self, data_dir: Path, parts: Parts, garbage_kept: timedelta) -> None:
        self.agent_incarnation = uuid4()
        self._data_dir = data_dir
        self._host_id = host_id(data_dir)
        self._parts = parts
        self._keepers: dict[UUID, Keeper] = {}
        self._image_failure = ""
        self._garbage = Garbage(data_dir, parts, garbage_kept)
        self._stored = Stored(parts)
        self.reaper = Reaper(self._keepers, parts)
        self.watchdog = Watchdog(self._keepers, parts)

    @property
    def host_id(self) -> UUID:
        """The same for as long as the data directory lives."""
        return self._host_id

    async def obey(self, sandbox_id: UUID, action: Action, generation: int) -> Machine:
        """Does what a command says: see `Keeper.obey`."""
        return await self._keeper(sandbox_id).obey(action, generation)

    async def set_timeout(self, sandbox_id: UUID, timeout_sec: int, generation: int | None) -> Machine:
        """See `Keeper.set_timeout`."""
        return await self._keeper(sandbox_id).set_timeout(timeout_sec, generation)

    async def ping(self, sandbox_id: UUID) -> Machine:
        """Notes activity if it runs and its guest answers, and returns the machine as it is.

        Raises: AgentError NO_SUCH_MACHINE, GUEST_UNRESPONSIVE, MACHINE_GONE.
        """
        keeper = self._keepers.get(sandbox_id)
        if keeper is not None and keeper.lifecycle.live is not None:
            keeper.lifecycle.timer.touch()
            try:
                async with asyncio.timeout(PING_DEADLINE_SECONDS):
                    await keeper.lifecycle.live.ping()
            except TimeoutError as error:
                raise AgentError(Code.GUEST_UNRESPONSIVE, "The sandbox does not answer.") from error
            keeper.touch()
            machine = self._known(sandbox_id)
            return replace(machine, auto_pause_at=keeper.lifecycle.auto_pause_at(machine))
        return self._known(sandbox_id)

    @contextmanager
    def use(self, sandbox_id: UUID) -> Iterator[LiveMachine]:
        """See `Keeper.use`."""
        keeper = self._keepers.get(sandbox_id) or Keeper(sandbox_id, self._parts, self._forget)
        with keeper.use() as live:
            yield live

    async def delete_template(self, template_id: UUID) -> Template:
        """See `Templates.delete`."""
        return await self._parts.templates.delete(template_id)

    async def collect_garbage(self, *, dry_run: bool) -> tuple[GarbageItem, ...]:
        """See `Garbage.collect`."""
        return await self._garbage.collect(dry_run=dry_run)

    def list_machines(self) -> Snapshot:
        """The whole inventory."""
        for keeper in self._keepers.values():
            live = keeper.lifecycle.live
            waits = live is not None and live.waits_for_room
            self._parts.inventory.note_waiting(keeper.sandbox_id, waits_for_room=waits)
        return self._parts.inventory.snapshot()

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """The whole inventory, then every change."""
        with self._parts.inventory.watch() as watch:
            yield watch

    def end_watches(self) -> None:
        """Ends every watch: the agent stops."""
        self._parts.inventory.end_watches()

    async def pause_all(self, cause: Cause) -> tuple[Machine, ...]:
        """Takes no new machines from now on, and pauses all that run. Returns them as they are then: one that could
        not be paused runs on, and says why. May be repeated."""
        self._parts.closed_to_new = True
        turn = asyncio.Semaphore(PAUSE_ALL_CONCURRENCY)

        async def pause(keeper: Keeper) -> None:
            async with turn:
                try:
                    await keeper.obey(Pause(cause), None)
                except AgentError as error:
                    _log.warning("not paused", sandbox_id=str(keeper.sandbox_id), code=error.code.value)

        keepers = list(self._keepers.values())
        async with asyncio.TaskGroup() as group:
            for keeper in keepers:
                group.create_task(pause(keeper))
        machines = (self._parts.inventory.get(keeper.sandbox_id) for keeper in keepers)
        return tuple(machine for machine in machines if machine is not None)

    async def describe(self) -> Description:
        """What this host is, can do and has free now."""
        driver = await self._parts.driver.facts()
        shortcomings = list(driver.shortcomings)
        if self._image_failure:
            shortcomings.append(f"The image for new sandboxes could not be made: {self._image_failure}")
        shortcomings += await self._garbage.shortcomings()
        machines = self.list_machines().machines
        if waiting := sum(machine.waits_for_room for machine in machines):
            shortcomings.append(
                f"The disk under {self._data_dir} is full: {waiting} machines stand still until there is room on it. "
                "Mend: make room; they go on by themselves."
            )
        return Description(
            host_id=self._host_id,
            agent_incarnation=self.agent_incarnation,
            computer=read_computer(self._data_dir),
            driver=driver,
            machines_running=sum(machine.state is State.RUNNING for machine in machines),
            shortcomings=tuple(shortcomings),
        )

    async def adopt(self) -> None:
        """Takes over what an earlier agent left; afterwards no machine is half done."""
        before = await self._parts.ledger.swap_meta("boot_id", boot_id())
        host_restarted = before is not None and before != boot_id()
        deleted_since = self._parts.now() - TOMBSTONES_LISTED
        machines = await self._parts.ledger.machines(deleted_since=deleted_since)
        templates = await self._parts.ledger.templates(deleted_since=deleted_since)
        self._parts.inventory.load(machines, templates)
        turn = asyncio.Semaphore(ADOPT_CONCURRENCY)
        async with asyncio.TaskGroup() as group:
            for machine in machines:
                if machine.state in UNFINISHED:
                    group.create_task(self._adopt_one(machine.sandbox_id, turn, host_restarted=host_restarted))
        # when it is known which snapshots are complete
        await self._parts.forks.load()
        self._parts.templates.resume()
        if self._parts.ledger.is_new and not self._garbage.has_lost_its_ledger() and await self._has_files():
            # whoever took the ledger away may bring it back: until then nothing of what it knew is garbage
            (self._data_dir / f"ledger.db.missing-{time.time_ns()}").touch(mode=0o600)
        known = sum(machine.state is not State.DELETED for machine in machines)
        _log.info("machines adopted", running=len(self._keepers), known=known, templates=len(templates))

    async def _has_files(self) -> bool:
        driver = self._parts.driver
        return bool(await driver.leftovers() or await driver.garbage(frozenset(), frozenset()))

    async def prepare(self) -> None:
        """Makes the image for new sandboxes, so that the first one need not wait for it."""
        template, vcpus, memory_mb = DEFAULT_SHAPE
        _log.info("preparing the image for new sandboxes", template=template, vcpus=vcpus, memory_mb=memory_mb)
        try:
            image = await self._parts.driver.prepare(template, vcpus, memory_mb)
            _log.info("image ready", template=template, content_id=image.content_id)
        except AgentError as error:
            self._image_failure = error.message
            _log.error("the image could not be made", code=error.code.value, error=error.message, detail=error.detail)
        except Exception:  # noqa: BLE001 - creates try again, and say what is wrong
            self._image_failure = "the agent's log says why."
            _log.exception("the image could not be made")

    async def keep_house(self) -> None:
        """Writes activity to the ledger now and then, forgets what was deleted long ago, and goes on with removals."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            for chore in (self._note_activity, self._parts.forks.tend, self._parts.templates.tend, self._stored.look):
                try:
                    await chore()
                except LedgerError as error:
                    _log.warning("the ledger cannot be written", chore=chore.__qualname__, error=str(error))
                except Exception:  # noqa: BLE001 - this task must outlive it: the disk may be full, say
                    _log.exception("a chore failed; it is tried again in the next round", chore=chore.__qualname__)

    async def _note_activity(self) -> None:
        now = self._parts.now()
        self._parts.inventory.forget_deleted(now - TOMBSTONES_LISTED, failed_before=now - TOMBSTONES_KEPT)
        if touched := self._parts.inventory.take_touched():
            await self._parts.ledger.note_activity(touched)
        await self._parts.ledger.prune(deleted_before=now - TOMBSTONES_KEPT)

    async def collect_again_and_again(self) -> None:
        """Puts aside what belongs to nothing, and removes it after a day."""
        while True:
            await asyncio.sleep(GARBAGE_SECONDS)
            try:
                await self._garbage.collect(dry_run=False, at_once=False)
            except Exception:  # noqa: BLE001 - this task must outlive it
                _log.exception("garbage not collected")

    async def tend_driver(self) -> None:
        """What the driver does beside everything else; the machines do not depend on it."""
        while True:
            try:
                await self._parts.driver.tend()
            except Exception:  # noqa: BLE001 - this task must outlive it
                _log.exception("the driver's own task failed")
            await asyncio.sleep(TEND_AGAIN_SECONDS)

    def works(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What it does by itself for as long as it is there, each to be run as a task."""
        return (
            self.prepare(),
            self.keep_house(),
            self.collect_again_and_again(),
            self.reaper.run(),
            self.watchdog.run(),
            self.tend_driver(),
        )

    async def settle(self) -> None:
        """Waits for commands that are under way, for `STOP_SECONDS` at most, and takes no new machines meanwhile."""
        self._parts.closed_to_new = True
        outcomes = [outcome for keeper in self._keepers.values() for outcome in keeper.outcomes()]
        if outcomes:
            _, unfinished = await asyncio.wait(outcomes, timeout=STOP_SECONDS)
            if unfinished:
                _log.warning("commands were cut off", count=len(unfinished))

    async def _adopt_one(self, sandbox_id: UUID, turn: asyncio.Semaphore, *, host_restarted: bool) -> None:
        async with turn:
            record = Record(sandbox_id, self._parts)
            try:
                live = await resolve(record, self._parts.driver, host_restarted=host_restarted)
            except Exception:  # noqa: BLE001 - one machine must not keep the others from being adopted
                _log.exception("not adopted; it is tried again at the next start", sandbox_id=str(sandbox_id))
                return
            if live is not None:
                self._keeper(sandbox_id, live)

    def _keeper(self, sandbox_id: UUID, live: LiveMachine | None = None) -> Keeper:
        keeper = self._keepers.get(sandbox_id)
        if keeper is None:
            keeper = self._keepers[sandbox_id] = Keeper(sandbox_id, self._parts, self._forget)
            if live is not None:
                keeper.lifecycle.hold(live)
            _ = self._parts.spawn(keeper.run())
        return keeper

    def _forget(self, sandbox_id: UUID) -> None:
        self._keepers.pop(sandbox_id, None)

    def _known(self, sandbox_id: UUID) -> Machine:
        machine = self._parts.inventory.get(sandbox_id)
        if machine is None:
            raise AgentError(Code.NO_SUCH_MACHINE, "This host has no such sandbox.")
        return machine


@asynccontextmanager
async def open_host(
    data_dir: Path,
    driver: Driver,
    available_mb: Callable[[], int] | None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
    garbage_kept: timedelta = GARBAGE_KEPT,
    faults: Faults = NO_FAULTS,
) -> AsyncIterator[Host]:
    """The host with all its tasks. It has adopted what an earlier agent left when this returns; at the end its
    machines run on. `available_mb` says how much memory is free; None: never count it (see `Capacity`)."""
    inventory = Inventory()
    ledger = Ledger(data_dir / "ledger.db", inventory.publish)
    await ledger.open()
    try:
        await driver.open()
        try:
            failure: Exception | None = None
            async with asyncio.TaskGroup() as group:
                tasks: set[asyncio.Task[None]] = set()

                def spawn(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
                    task = group.create_task(work)
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    return task

                forks = Forks(driver, ledger, inventory, monotonic)

                async def users(template_id: UUID) -> int:
                    return await forks.on_template(template_id) + inventory.machines_on(template_id)

                templates = Templates(driver, TemplateRecords(ledger, inventory, now), users, spawn, faults)
                capacity = Capacity(available_mb, driver.reclaimable_mb)
                parts = Parts(
                    driver, ledger, inventory, capacity, templates, forks, now, monotonic, spawn, faults=faults
                )
                host = Host(data_dir, parts, garbage_kept)
                try:
                    await host.adopt()
                    _ = [spawn(work) for work in host.works()]
                    yield host
                except Exception as error:  # noqa: BLE001 - raised below, where no group wraps it
                    failure = error
                finally:
                    await host.settle()
                    for task in tuple(tasks):
                        task.cancel()
            if failure is not None:
                raise failure
        finally:
            await driver.close()
    finally:
        await ledger.close()

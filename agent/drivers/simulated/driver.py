"""A driver whose machines run no code.

Each sandbox has a folder: `disk/` is its disk, `template` names the template that it stands on, and `state.json` says
whether it runs (and as which incarnation) or is paused. So a restarted agent adopts what ran, though no process did: a
simulated machine ends only by a command, by a fault, or with `state.json`.
"""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from agent.drivers.driver import (
    Death,
    DriverFacts,
    Isolation,
    Leftover,
    LiveMachine,
    NewTemplate,
    ProcessIdentity,
    ProgressMark,
    StageMark,
    TemplateImage,
)
from agent.drivers.simulated.disk import Disk
from agent.drivers.simulated.faults import STAGES, Faults
from agent.drivers.simulated.kept import Kept, Note, blocks_of
from agent.drivers.simulated.machine import SimulatedMachine
from agent.errors import AgentError, Code
from agent.machine import Cause, Spec, TemplateType

TEMPLATES = frozenset({"base"})
DISK_SIZE_MB = 5 * 1024


class SimulatedDriver:
    """See `Driver`. Deterministic: takes no time and fails at nothing unless `faults` says so."""

    name = "simulated"

    def __init__(self, folder: Path, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._folder = folder
        self._machines: dict[UUID, SimulatedMachine] = {}
        self._images: dict[tuple[str, int, int], TemplateImage] = {}
        self._snapshots = Kept(folder, "snapshot")
        self._templates = Kept(folder, "template")

    async def open(self) -> None:
        """Makes its folder, and removes what an earlier driver had not finished."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("unfinished-*"):
            shutil.rmtree(path, ignore_errors=True)

    async def close(self) -> None:
        """Lets go; machines can be adopted."""
        for machine in self._machines.values():
            machine.release()
        self._machines.clear()

    async def facts(self) -> DriverFacts:
        """Says plainly that it runs nothing."""
        return DriverFacts(
            driver=self.name,
            isolation=Isolation.NONE,
            accelerator="none",
            qemu_version="",
            images=(*self._images.values(), *map(self._image, self._templates.all())),
            shortcomings=("The simulated driver runs no code: it is for tests. Choose the driver qemu.",),
        )

    async def prepare(self, template_name: str, vcpus: int, memory_mb: int) -> TemplateImage:
        """Every shape of a known template is there at once."""
        if template_name not in TEMPLATES:
            raise AgentError(Code.UNKNOWN_TEMPLATE, f"This host has no template {template_name}.")
        shape = (template_name, vcpus, memory_mb)
        if shape not in self._images:
            await self.faults.strike("prepare")
            self._images[shape] = TemplateImage(template_name, vcpus, memory_mb, DISK_SIZE_MB, "simulated")
        return self._images[shape]

    async def start(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """A new machine, on an empty disk or on a copy of what was kept."""
        source = self._source(spec)
        if source is None:
            await self.prepare(spec.template_name, spec.vcpus, spec.memory_mb)
        try:
            if source is None:
                self._disk(spec.sandbox_id).make()
            else:
                shutil.copytree(source, self._folder / str(spec.sandbox_id) / "disk")
                (self._folder / str(spec.sandbox_id) / "template").write_text(str(spec.template_id))
            return await self._launch("start", spec, incarnation, stage)
        except BaseException:
            self._remove_folder(spec.sandbox_id)
            raise

    async def pause(self, spec: Spec, machine: LiveMachine, stage: StageMark) -> None:
        """Runs to its end once begun, whatever becomes of the caller."""
        await _to_its_end(self._pause(spec, _mine(machine), stage))

    async def resume(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """A machine from the saved one."""
        if not await self.is_paused(spec.sandbox_id):
            raise AgentError(Code.IMAGE_MISMATCH, "Nothing was saved of this sandbox.")
        return await self._launch("resume", spec, incarnation, stage)

    async def boot(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """A machine on the disk that is there."""
        if not (self._folder / str(spec.sandbox_id) / "disk").is_dir():
            raise AgentError(Code.START_FAILED, "The sandbox has no disk on this host.")
        self._set_state(spec.sandbox_id, "stopped")
        return await self._launch("boot", spec, incarnation, stage)

    async def is_paused(self, sandbox_id: UUID) -> bool:
        """Whether it was saved and has not gone on since."""
        return self._state(sandbox_id) == "paused"

    async def kill(self, machine: LiveMachine) -> None:
        """Ends it; the disk stays."""
        await self.faults.strike("kill")
        mine = _mine(machine)
        mine.release()
        self._machines.pop(mine.spec.sandbox_id, None)
        if self._state(mine.spec.sandbox_id) == str(mine.incarnation):
            self._set_state(mine.spec.sandbox_id, "stopped")

    async def adopt(self, spec: Spec, incarnation: UUID, process: ProcessIdentity | None) -> LiveMachine | None:
        """Takes over by incarnation; there is no process to compare."""
        del process
        await self.faults.strike("adopt")
        if self._state(spec.sandbox_id) != str(incarnation):
            return None
        return self._run(spec, incarnation)

    async def remove(self, sandbox_id: UUID) -> None:
        """Removes its folder."""
        await self.faults.strike("remove")
        self._remove_folder(sandbox_id)

    async def leftovers(self) -> frozenset[UUID]:
        """Every sandbox with a folder."""
        found = set()
        for path in self._folder.iterdir():
            with contextlib.suppress(ValueError):
                found.add(UUID(path.name))
        return frozenset(found)

    async def snapshot(
        self, spec: Spec, machine: LiveMachine | None, snapshot_id: UUID, stage: StageMark, children: int = 0
    ) -> None:
        """Runs to its end once begun, whatever becomes of the caller."""
        del children
        await _to_its_end(self._snapshot(spec, None if machine is None else _mine(machine), snapshot_id, stage))

    async def has_snapshot(self, snapshot_id: UUID) -> bool:
        """Whether its folder is there: it comes by a rename."""
        return self._snapshots.has(snapshot_id)

    async def drop_snapshot(self, snapshot_id: UUID) -> None:
        """Removes its folder."""
        await self.faults.strike("drop_snapshot")
        self._snapshots.drop(snapshot_id)

    async def make_template(self, snapshot_id: UUID, template: NewTemplate, progress: ProgressMark) -> TemplateImage:
        """A copy of the snapshot."""
        if not self._templates.has(template.template_id):
            if not self._snapshots.has(snapshot_id):
                raise AgentError(Code.UNKNOWN_SNAPSHOT, "Nothing was kept under this id.")
            progress(50)
            await self.faults.strike("make_template")
            note = self._snapshots.note(snapshot_id)
            disk = self._snapshots.disk(snapshot_id)
            kept = Note(template.name, str(template.template_id), note.vcpus, note.memory_mb, note.disk_size_mb)
            self._templates.keep(template.template_id, disk, kept)
        progress(100)
        return self._image(template.template_id)

    async def remove_template(self, template_id: UUID) -> None:
        """Removes its folder, unless a sandbox or a snapshot of one stands on it."""
        await self.faults.strike("remove_template")
        standing = (path.read_text() for path in self._folder.glob("*/template"))
        if self._templates.has(template_id) and (
            str(template_id) in standing or self._snapshots.stands_on(template_id)
        ):
            raise AgentError(Code.TEMPLATE_IN_USE, "A sandbox on this host stands on the template.")
        self._templates.drop(template_id)

    async def stored_bytes(self, sandbox_id: UUID) -> int:
        """Of its folder."""
        return await asyncio.to_thread(blocks_of, self._folder / str(sandbox_id))

    async def tend(self) -> None:
        """There is no pool."""
        await asyncio.Event().wait()

    def reclaimable_mb(self) -> int:
        """None."""
        return 0

    async def garbage(self, sandboxes: frozenset[UUID], snapshots: frozenset[UUID]) -> tuple[Leftover, ...]:
        """Folders of sandboxes and snapshots that are not known."""
        unknown = sorted(await self.leftovers() - sandboxes - self._machines.keys())
        folders = [
            Leftover(
                f"{self._folder.name}/{one}", await self.stored_bytes(one), "A sandbox that the ledger does not know."
            )
            for one in unknown
        ]
        return (*folders, *self._snapshots.leftovers(snapshots))

    def crash(self, sandbox_id: UUID, cause: Cause = Cause.CRASHED, detail: str = "It was made to crash.") -> None:
        """Ends a machine that runs, as if from outside. For tests."""
        self._end(self._machines[sandbox_id], Death(cause, detail))

    def _source(self, spec: Spec) -> Path | None:
        """The disk that a new sandbox begins with; None: an empty one. Raises: AgentError, as `Driver.start`."""
        if spec.snapshot_id is not None:
            if not self._snapshots.has(spec.snapshot_id):
                raise AgentError(Code.UNKNOWN_SNAPSHOT, "What was kept for this fork is not there any more.")
            _require_shape(spec, self._snapshots.note(spec.snapshot_id))
            return self._snapshots.disk(spec.snapshot_id)
        if spec.template_type is TemplateType.SNAPSHOT:
            if not self._templates.has(spec.template_id):
                raise AgentError(Code.UNKNOWN_TEMPLATE, "This host has no such template.")
            _require_shape(spec, self._templates.note(spec.template_id))
            return self._templates.disk(spec.template_id)
        _require_disk(spec, DISK_SIZE_MB)
        return None

    def _image(self, template_id: UUID) -> TemplateImage:
        note = self._templates.note(template_id)
        stored_bytes = blocks_of(self._templates.disk(template_id).parent)
        return TemplateImage(
            note.template_name,
            note.vcpus,
            note.memory_mb,
            note.disk_size_mb,
            f"simulated-{template_id}",
            template_id,
            stored_bytes,
        )

    async def _snapshot(
        self, spec: Spec, machine: SimulatedMachine | None, snapshot_id: UUID, stage: StageMark
    ) -> None:
        if machine is None and not await self.is_paused(spec.sandbox_id):
            raise AgentError(Code.IMAGE_MISMATCH, "Nothing was saved of this sandbox.")
        for name in STAGES["snapshot"] if machine is not None else ("save", "sync"):
            if (death := await self.faults.strike(f"snapshot.{name}")) is not None and machine is not None:
                self._end(machine, death)
            if machine is not None and machine.is_gone:
                raise AgentError(Code.MACHINE_GONE, "The machine ended while it was being snapshotted.")
            if name == "sync":
                note = Note(spec.template_name, str(spec.template_id), spec.vcpus, spec.memory_mb, spec.disk_size_mb)
                self._snapshots.keep(snapshot_id, self._folder / str(spec.sandbox_id) / "disk", note)
            stage(name)

    async def _launch(self, step: str, spec: Spec, incarnation: UUID, stage: StageMark) -> SimulatedMachine:
        for name in STAGES[step]:
            if (death := await self.faults.strike(f"{step}.{name}")) is not None:
                raise AgentError(Code.START_FAILED, f"The machine ended while it was starting: {death.detail}")
            stage(name)
        self._set_state(spec.sandbox_id, str(incarnation))
        return self._run(spec, incarnation)

    async def _pause(self, spec: Spec, machine: SimulatedMachine, stage: StageMark) -> None:
        for name in STAGES["pause"]:
            if (death := await self.faults.strike(f"pause.{name}")) is not None:
                self._end(machine, death)
            if machine.is_gone:
                raise AgentError(Code.MACHINE_GONE, "The machine ended while it was being paused.")
            if name == "release":
                self._set_state(spec.sandbox_id, "paused")
            stage(name)
        machine.release()
        self._machines.pop(spec.sandbox_id, None)

    def _run(self, spec: Spec, incarnation: UUID) -> SimulatedMachine:
        machine = SimulatedMachine(spec, incarnation, self._disk(spec.sandbox_id), self.faults)
        self._machines[spec.sandbox_id] = machine
        return machine

    def _end(self, machine: SimulatedMachine, death: Death) -> None:
        self._set_state(machine.spec.sandbox_id, "stopped")
        self._machines.pop(machine.spec.sandbox_id, None)
        machine.die(death)

    def _disk(self, sandbox_id: UUID) -> Disk:
        return Disk(self._folder / str(sandbox_id) / "disk")

    def _state(self, sandbox_id: UUID) -> str | None:
        path = self._folder / str(sandbox_id) / "state.json"
        return str(json.loads(path.read_text())["state"]) if path.exists() else None

    def _set_state(self, sandbox_id: UUID, state: str) -> None:
        path = self._folder / str(sandbox_id) / "state.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"state": state}))
        fresh.rename(path)

    def _remove_folder(self, sandbox_id: UUID) -> None:
        shutil.rmtree(self._folder / str(sandbox_id), ignore_errors=True)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Runs something that must not be cut off, whatever becomes of the caller, and raises what it raises."""
    failures: list[Exception] = []

    async def contained() -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - raised below, where no group wraps it
            failures.append(error)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(contained())
        cancelled: asyncio.CancelledError | None = None
        while not running.done():
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
    if failures:
        raise failures[0]


def _require_shape(spec: Spec, note: Note) -> None:
    if (spec.vcpus, spec.memory_mb) != (note.vcpus, note.memory_mb):
        message = f"The shape is fixed: {note.vcpus} vCPUs and {note.memory_mb} MiB of memory."
        raise AgentError(Code.UNSUPPORTED_SHAPE, message)
    _require_disk(spec, note.disk_size_mb)


def _require_disk(spec: Spec, least_mb: int) -> None:
    if spec.disk_size_mb < least_mb:
        message = f"The disk must be at least as large as the template's: {least_mb} MiB."
        raise AgentError(Code.UNSUPPORTED_SHAPE, message)


def _mine(machine: LiveMachine) -> SimulatedMachine:
    return cast("SimulatedMachine", machine)

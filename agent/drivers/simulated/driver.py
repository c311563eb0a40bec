"""A driver whose machines run no code.

Each sandbox has a folder: `disk/` is its disk, `state.json` says whether it runs (and as which incarnation) or is
paused. So a restarted agent adopts what ran, though no process did: a simulated machine ends only by a command, by a
fault, or with `state.json`.
"""

import asyncio
import json
import shutil
from pathlib import Path
from typing import cast
from uuid import UUID

from agent.drivers.driver import (
    Death,
    DriverFacts,
    Isolation,
    LiveMachine,
    ProcessIdentity,
    StageMark,
    TemplateImage,
)
from agent.drivers.simulated.disk import Disk
from agent.drivers.simulated.faults import STAGES, Faults
from agent.drivers.simulated.machine import SimulatedMachine
from agent.errors import AgentError, Code
from agent.machine import Cause, Spec

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

    async def open(self) -> None:
        """Makes its folder."""
        self._folder.mkdir(parents=True, exist_ok=True)

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
            images=tuple(self._images.values()),
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
        """A new machine on an empty disk."""
        if spec.disk_size_mb < DISK_SIZE_MB:
            message = f"The disk must be at least as large as the template's: {DISK_SIZE_MB} MiB."
            raise AgentError(Code.UNSUPPORTED_SHAPE, message)
        await self.prepare(spec.template_name, spec.vcpus, spec.memory_mb)
        try:
            self._disk(spec.sandbox_id).make()
            return await self._launch("start", spec, incarnation, stage)
        except BaseException:
            self._remove_folder(spec.sandbox_id)
            raise

    async def pause(self, spec: Spec, machine: LiveMachine, stage: StageMark) -> None:
        """Runs to its end once begun, whatever becomes of the caller."""
        failures: list[Exception] = []

        async def pause() -> None:
            try:
                await self._pause(spec, _mine(machine), stage)
            except Exception as error:  # noqa: BLE001 - raised below, where no group wraps it
                failures.append(error)

        async with asyncio.TaskGroup() as group:
            pausing = group.create_task(pause())
            cancelled: asyncio.CancelledError | None = None
            while not pausing.done():
                try:
                    await asyncio.shield(pausing)
                except asyncio.CancelledError as error:
                    cancelled = error
            if cancelled is not None:
                raise cancelled
        if failures:
            raise failures[0]

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
        return frozenset(UUID(path.name) for path in self._folder.iterdir())

    def crash(self, sandbox_id: UUID, cause: Cause = Cause.CRASHED, detail: str = "It was made to crash.") -> None:
        """Ends a machine that runs, as if from outside. For tests."""
        self._end(self._machines[sandbox_id], Death(cause, detail))

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


def _mine(machine: LiveMachine) -> SimulatedMachine:
    return cast("SimulatedMachine", machine)

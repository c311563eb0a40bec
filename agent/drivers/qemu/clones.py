"""Machines from memory images: a fresh one of a template, or one that was paused. The two differ only in the pages
that are put in before the device state is loaded."""

import asyncio
import contextlib
import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from agent.drivers.driver import StageMark
from agent.drivers.qemu import disks, ram, saved
from agent.drivers.qemu.cgroups import Limits
from agent.drivers.qemu.disks import DISK_FULL_ERRNOS, OVERLAY
from agent.drivers.qemu.growth import grow
from agent.drivers.qemu.images import Image, ImageStore, closing
from agent.drivers.qemu.launch import Launcher, Plan, Running, settled
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.manifests import ManifestError, PauseManifest
from agent.drivers.qemu.monitor import MonitorError
from agent.drivers.qemu.pausing import save
from agent.drivers.qemu.ram import Base
from agent.drivers.qemu.saved import SavedMemory
from agent.drivers.qemu.settings import QemuSettings
from agent.errors import AgentError, Code
from agent.machine import Spec

LOAD_SECONDS = 30.0  # it takes 10 ms
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Cloner:
    """Starts and resumes machines."""

    settings: QemuSettings
    store: ImageStore
    launcher: Launcher
    qemu_version: str

    async def start(self, spec: Spec, incarnation: UUID, image: Image, stage: StageMark) -> QemuMachine:
        """See `Driver.start`; the image is there. Raises: AgentError."""
        return await self.clone(self.settings.machines_dir / str(spec.sandbox_id), spec, incarnation, image, stage)

    async def clone(self, folder: Path, spec: Spec, incarnation: UUID, image: Image, stage: StageMark) -> QemuMachine:
        """A new machine in a new folder, with its identity set and its disk as large as asked for. Nothing is left
        after a failure or a cancellation. Raises: AgentError, as `Driver.start`."""
        known_mb = image.manifest.disk_size_mb
        check_disk_size(spec, known_mb)
        ram_fd = await self.store.sealed_ram(image)
        stage("image")
        try:
            folder.mkdir(mode=0o711)
        except FileExistsError as error:
            raise AgentError(Code.START_FAILED, "This sandbox has files on the host already.") from error
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            try:
                disks.make_overlay(folder / OVERLAY, spec.disk_size_mb)
                state_fd = self.store.open_state(image)
            except OSError as error:
                raise disk_error(error, Code.START_FAILED, "The sandbox's disk could not be made.") from error
            stage("disk")
            with closing(state_fd):
                running = await self.launcher.launch(self._plan(spec, incarnation, image, folder, ram_fd, state_fd))
                machine = QemuMachine(folder, image, incarnation, running)
                undo.push_async_callback(machine.end)
                stage("spawn")
                await self._load(running, state_fd)
            stage("restore")
            await machine.identify(spec, self.settings.guest_timeout_seconds)
            await grow(machine, spec.disk_size_mb, known_mb, self.settings.grow_timeout_seconds)
            stage("guest")
            undo.pop_all()
        return machine

    async def resume(self, spec: Spec, incarnation: UUID, stage: StageMark) -> QemuMachine:
        """See `Driver.resume`. Raises: AgentError."""
        folder = self.settings.machines_dir / str(spec.sandbox_id)
        try:
            pause_dir, manifest = saved.latest(folder)
            image = self._image_of(manifest)
            self._check(manifest, folder, image)
            base = Base(manifest.ram_base)
            ram_fd = await self.store.base_of(image, base)
            loading = asyncio.get_running_loop().run_in_executor(
                None, saved.load, pause_dir, manifest, image.manifest.ram_bytes
            )
            memory = await settled(loading)
        except (ManifestError, OSError, ValueError) as error:
            raise AgentError(
                Code.IMAGE_MISMATCH, "What was saved of this sandbox cannot be resumed here.", detail=str(error)
            ) from error
        with closing(memory.state_fd):
            stage("verify")
            async with contextlib.AsyncExitStack() as undo:
                plan = self._plan(spec, incarnation, image, folder, ram_fd, memory.state_fd)
                running = await self.launcher.launch(dataclasses.replace(plan, ram_base=base))
                machine = QemuMachine(folder, image, incarnation, running, base)
                undo.push_async_callback(machine.end)
                stage("spawn")
                await self._restore(running, image, memory)
                undo.push_async_callback(self._save_again, spec, machine)
                stage("restore")
                await machine.identify(spec, self.settings.guest_timeout_seconds)
                stage("guest")
                # From here on the disk moves on, and what was saved fits it no longer.
                await asyncio.to_thread(saved.discard_pauses, folder)
                undo.pop_all()
        return machine

    def _plan(self, spec: Spec, incarnation: UUID, image: Image, folder: Path, ram_fd: int, state_fd: int) -> Plan:
        return Plan(
            name=str(incarnation),
            image_id=image.manifest.content_id,
            folder=folder,
            guest_arguments=image.manifest.arguments,
            accelerator=image.manifest.accelerator,
            disk=image.disk(folder / OVERLAY, self.settings.data_dir),
            ram_fd=ram_fd,
            ram_bytes=image.manifest.ram_bytes,
            ram_shared=False,
            limits=Limits(spec.memory_mb, spec.vcpus),
            state_fd=state_fd,
        )

    def _image_of(self, manifest: PauseManifest) -> Image:
        image = self.store.get(manifest.image_id)
        if image is None:
            raise ManifestError(f"the image {manifest.image_id} is not on this host")
        return image

    def _check(self, manifest: PauseManifest, folder: Path, image: Image) -> None:
        """Raises: ManifestError, OSError."""
        if manifest.qemu_version != self.qemu_version:
            raise ManifestError(f"saved by QEMU {manifest.qemu_version}, this is {self.qemu_version}")
        if manifest.accelerator != image.manifest.accelerator:
            raise ManifestError(f"saved under {manifest.accelerator}, its image is for {image.manifest.accelerator}")
        if manifest.disk_stamp != disks.stamp(folder / OVERLAY):
            raise ManifestError("the disk was written to after its memory was saved")

    async def _load(self, running: Running, state_fd: int) -> None:
        """Loads the device state; the guest runs from then on. Raises: AgentError START_FAILED."""
        resumed = running.monitor.event("RESUME")
        try:
            await running.monitor.run("migrate-incoming", uri=f"fd:{state_fd}")
            async with asyncio.timeout(LOAD_SECONDS):
                await resumed
        except (MonitorError, TimeoutError) as error:
            detail = f"{error!r}; {running.process.words()}"
            raise AgentError(Code.START_FAILED, "The machine's state could not be loaded.", detail=detail) from error
        finally:
            resumed.cancel()

    async def _restore(self, running: Running, image: Image, memory: SavedMemory) -> None:
        """Puts the saved pages in, then loads. Raises: AgentError START_FAILED."""
        try:
            mapped = ram.mapped_ram(running.process.identity.pid, image.manifest.ram_bytes)
            writing = asyncio.get_running_loop().run_in_executor(None, mapped.write, memory.runs, memory.content)
            await settled(writing)
        except (OSError, LookupError) as error:
            raise AgentError(
                Code.START_FAILED, "The machine's memory could not be restored.", detail=str(error)
            ) from error
        await self._load(running, memory.state_fd)

    async def _save_again(self, spec: Spec, machine: QemuMachine) -> None:
        """A machine that was resumed but does not answer may have written to its disk: it is saved as it is now, so
        that memory and disk still fit. If that fails too, what was saved before counts if the disk was not touched."""
        try:
            await save(spec, machine, self.qemu_version, self.settings.save_timeout_seconds, lambda _: None)
        except AgentError as error:
            log.warning("not_saved_again", sandbox_id=str(spec.sandbox_id), reason=error.message, detail=error.detail)


def check_disk_size(spec: Spec, least_mb: int) -> None:
    """A disk can be larger than the one that it stands on, never smaller. Raises: AgentError UNSUPPORTED_SHAPE."""
    if spec.disk_size_mb < least_mb:
        raise AgentError(
            Code.UNSUPPORTED_SHAPE, f"The disk must be at least as large as the template's: {least_mb} MB."
        )


def disk_error(error: OSError, code: Code, message: str) -> AgentError:
    """DISK_FULL if that is what happened, else `code`."""
    if error.errno in DISK_FULL_ERRNOS:
        return AgentError(Code.DISK_FULL, "The host's disk is full.", detail=str(error))
    return AgentError(code, message, detail=str(error))

"""Machines from memory images: a fresh one of a template, or one that was paused. The two differ only in the pages
that are put in before the device state is loaded."""

import asyncio
import contextlib
import dataclasses
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from agent.drivers.driver import StageMark
from agent.drivers.qemu import disks, layers, ram, saved, threads
from agent.drivers.qemu.cgroups import Limits
from agent.drivers.qemu.disks import OVERLAY
from agent.drivers.qemu.growth import grow
from agent.drivers.qemu.images import Image, ImageStore, closing
from agent.drivers.qemu.launch import Launcher, Plan, Running, settled
from agent.drivers.qemu.layers import Chain
from agent.drivers.qemu.machine import INHERITED, QemuMachine
from agent.drivers.qemu.manifests import ManifestError, PauseManifest
from agent.drivers.qemu.monitor import MonitorError
from agent.drivers.qemu.pausing import save
from agent.drivers.qemu.proofs import Prover
from agent.drivers.qemu.ram import Base, Runs
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.snapshots import Snapshot, Snapshots
from agent.errors import AgentError, Code
from agent.machine import Spec

LOAD_SECONDS = 30.0  # it takes 10 ms
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Cloner:
    """Starts and resumes machines."""

    settings: QemuSettings
    store: ImageStore
    snapshots: Snapshots
    prover: Prover
    launcher: Launcher
    qemu_version: str

    async def start(self, spec: Spec, incarnation: UUID, image: Image, stage: StageMark) -> QemuMachine:
        """See `Driver.start`; the image is there. Raises: AgentError."""
        return await self.clone(self.settings.machines_dir / str(spec.sandbox_id), spec, incarnation, image, stage)

    async def settle_in(self, machine: QemuMachine, spec: Spec, stage: StageMark) -> QemuMachine:
        """A clone from the pool becomes the sandbox's. Nothing is left after a failure or a cancellation.

        Raises: AgentError, as `Driver.start`.
        """
        for name in ("image", "disk", "spawn", "restore"):
            stage(name)  # done before it was asked for
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(shutil.rmtree, machine.folder, ignore_errors=True)
            undo.push_async_callback(machine.end)
            await machine.identify(spec, self.settings.guest_timeout_seconds)
            known_mb = machine.image.manifest.disk_size_mb
            await grow(machine, spec.disk_size_mb, known_mb, self.settings.grow_timeout_seconds)
            stage("guest")
            undo.pop_all()
        return machine

    async def clone(
        self,
        folder: Path,
        spec: Spec,
        incarnation: UUID,
        image: Image,
        stage: StageMark,
        *,
        in_background: bool = False,
    ) -> QemuMachine:
        """A new machine in a new folder, with its identity set and its disk as large as asked for. One that is made
        `in_background` lets all others go first. Nothing is left after a failure or a cancellation.

        Raises: AgentError, as `Driver.start`.
        """
        known_mb = image.manifest.disk_size_mb
        check_disk_size(spec, known_mb)
        _, ram_fd = await asyncio.gather(self.prover.image(image), self.store.sealed_ram(image))
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
                raise disks.disk_error(error, Code.START_FAILED, "The sandbox's disk could not be made.") from error
            stage("disk")
            with closing(state_fd):
                plan = self._plan(spec, incarnation, image, folder, ram_fd, state_fd)
                limits = dataclasses.replace(plan.limits, in_background=in_background)
                running = await self.launcher.launch(dataclasses.replace(plan, limits=limits))
                machine = QemuMachine(folder, image, incarnation, running)
                undo.push_async_callback(machine.end)
                stage("spawn")
                await self._hold_and_load(running, state_fd)
            stage("restore")
            await machine.identify(spec, self.settings.guest_timeout_seconds)
            await grow(machine, spec.disk_size_mb, known_mb, self.settings.grow_timeout_seconds)
            stage("guest")
            undo.pop_all()
        return machine

    async def fork(self, spec: Spec, incarnation: UUID, snapshot: Snapshot, stage: StageMark) -> QemuMachine:
        """A new machine that begins as what was kept of another; see `Driver.start`. Raises: AgentError."""
        kept, folder = snapshot.manifest, self.settings.machines_dir / str(spec.sandbox_id)
        image = self.store.get(kept.image_id)
        if image is None or kept.qemu_version != self.qemu_version:
            message = "What was kept of the sandbox needs another image or another QEMU than this host has."
            raise AgentError(Code.IMAGE_MISMATCH, message, detail=f"{kept.image_id} {kept.qemu_version}")
        image.require_same(kept.image_sha256)
        if (spec.vcpus, spec.memory_mb) != (kept.vcpus, kept.memory_mb):
            message = f"A fork has its parent's shape: {kept.vcpus} vCPUs and {kept.memory_mb} MB of memory."
            raise AgentError(Code.UNSUPPORTED_SHAPE, message)
        check_disk_size(spec, kept.disk_size_mb)
        await self._prove(image, snapshot)
        base = Base(kept.ram_base)
        try:
            ram_fd, inherited = await self._ram_of(snapshot, image, base)
            stage("image")
            folder.mkdir(mode=0o711)
        except FileExistsError as error:
            raise AgentError(Code.START_FAILED, "This sandbox has files on the host already.") from error
        except OSError as error:
            raise disks.disk_error(error, Code.START_FAILED, "The parent's memory could not be shared.") from error
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            state_fd = await asyncio.to_thread(self._lay_out, spec, folder, snapshot, inherited)
            stage("disk")
            with closing(state_fd):
                plan = self._plan(spec, incarnation, image, folder, ram_fd, state_fd)
                running = await self.launcher.launch(dataclasses.replace(plan, ram_base=base))
                machine = QemuMachine(folder, image, incarnation, running, base)
                undo.push_async_callback(machine.end)
                stage("spawn")
                if len(inherited):
                    await self._hold_and_load(running, state_fd)
                else:
                    await self._restore(running, image, snapshot.runs, snapshot.content, state_fd)
            stage("restore")
            await machine.identify(spec, self.settings.guest_timeout_seconds)
            await grow(machine, spec.disk_size_mb, kept.disk_size_mb, self.settings.grow_timeout_seconds)
            stage("guest")
            undo.pop_all()
        return machine

    async def _ram_of(self, snapshot: Snapshot, image: Image, base: Base) -> tuple[int, Runs]:
        """What a fork maps, and which pages in it are its parent's: those of the snapshot, in a copy of the image's RAM
        that all forks of it share, or none, where few forks put in pages for themselves and no copy is made."""
        if base is Base.EMPTY:
            return await self.snapshots.ram(snapshot, None), snapshot.runs
        own = await self.store.sealed_ram(image)
        if self.snapshots.is_for_few(snapshot, os.fstat(own).st_blocks * 512):
            return own, snapshot.runs[:0]
        return await self.snapshots.ram(snapshot, own), snapshot.runs

    async def _prove(self, image: Image, snapshot: Snapshot) -> None:
        """The disks that a fork stands on. Raises: AgentError IMAGE_MISMATCH, UNKNOWN_SNAPSHOT."""
        await self.prover.image(image)
        try:
            await self.prover.layers(snapshot.manifest.layers)
        except (ManifestError, OSError) as error:
            message = "What was kept of the sandbox is damaged."
            raise AgentError(Code.UNKNOWN_SNAPSHOT, message, detail=str(error)) from error

    def _lay_out(self, spec: Spec, folder: Path, snapshot: Snapshot, inherited: Runs) -> int:
        """The files of a fork, in its folder; the open device state. Blocks. Raises: AgentError."""
        kept = snapshot.manifest
        try:
            chain = Chain(layers.next_overlay(), kept.layers)
            layers.write(folder, chain)  # first: an overlay of that name is not without a note
            disks.make_overlay(folder / chain.overlay, spec.disk_size_mb)
            ram.write_runs(folder / INHERITED, inherited)
            return saved.open_state(snapshot.folder, kept.files)
        except OSError as error:
            raise disks.disk_error(error, Code.START_FAILED, "The sandbox's disk could not be made.") from error
        except ManifestError as error:
            message = "What was kept of the sandbox is damaged."
            raise AgentError(Code.UNKNOWN_SNAPSHOT, message, detail=str(error)) from error

    async def resume(self, spec: Spec, incarnation: UUID, stage: StageMark) -> QemuMachine:
        """See `Driver.resume`. Raises: AgentError."""
        folder = self.settings.machines_dir / str(spec.sandbox_id)
        try:
            pause_dir, manifest = saved.fitting(folder)
            image = self._image_of(manifest)
            self._check(manifest, image)
            await self.prover.image(image)
            await self.prover.layers(layers.read(folder).layers)
            base = Base(manifest.ram_base)
            ram_fd = await self.store.base_of(image, base)
            memory = await threads.by(None, saved.load, pause_dir, manifest, image.manifest.ram_bytes)
        except (ManifestError, OSError, ValueError) as error:
            raise AgentError(
                Code.IMAGE_MISMATCH, "What was saved of this sandbox cannot be resumed here.", detail=str(error)
            ) from error
        with closing(memory.state_fd):
            stage("verify")
            async with contextlib.AsyncExitStack() as undo:
                # what a fork shared with its siblings is its own now
                (folder / INHERITED).unlink(missing_ok=True)
                plan = self._plan(spec, incarnation, image, folder, ram_fd, memory.state_fd)
                running = await self.launcher.launch(dataclasses.replace(plan, ram_base=base))
                machine = QemuMachine(folder, image, incarnation, running, base)
                undo.push_async_callback(machine.end)
                stage("spawn")
                await self._restore(running, image, memory.runs, memory.content, memory.state_fd)
                undo.push_async_callback(self._save_again, spec, machine)
                stage("restore")
                await self._greet(spec, machine)
                stage("guest")
                # From here on the disk moves on, and what was saved fits it no longer.
                await asyncio.to_thread(saved.discard_pauses, folder)
                undo.pop_all()
        return machine

    def _plan(self, spec: Spec, incarnation: UUID, image: Image, folder: Path, ram_fd: int, state_fd: int) -> Plan:
        chain = layers.read(folder)
        return Plan(
            name=str(incarnation),
            image_id=image.manifest.content_id,
            image_sha256=image.manifest.sha256,
            folder=folder,
            guest_arguments=image.manifest.arguments,
            accelerator=image.manifest.accelerator,
            disk=image.disk(folder / chain.overlay, self.settings.data_dir, self.snapshots.layers.below(chain)),
            disk_size_mb=spec.disk_size_mb,
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
        image.require_same(manifest.image_sha256)
        return image

    def _check(self, manifest: PauseManifest, image: Image) -> None:
        """Raises: ManifestError; AgentError IMAGE_MISMATCH when another QEMU is needed."""
        if manifest.qemu_version != self.qemu_version:
            raise AgentError(
                Code.IMAGE_MISMATCH,
                f"The sandbox was paused under QEMU {manifest.qemu_version}, and only that can load its memory; this "
                f"host has {self.qemu_version} now. It is kept as it is, and resumes when the host has the former QEMU "
                "again.",
            )
        if manifest.accelerator != image.manifest.accelerator:
            raise ManifestError(f"saved under {manifest.accelerator}, its image is for {image.manifest.accelerator}")

    async def _hold(self, running: Running) -> None:
        """Holds the guest to its rate. Raises: AgentError START_FAILED."""
        try:
            await self.settings.disk_rate.hold(running.monitor)
        except MonitorError as error:
            message = "The machine's limits could not be set."
            raise AgentError(Code.START_FAILED, message, detail=str(error)) from error

    async def _hold_and_load(self, running: Running, state_fd: int) -> None:
        """QEMU does one after the other, so the guest is held when it runs. Raises: AgentError START_FAILED."""
        await asyncio.gather(self._hold(running), self._load(running, state_fd))

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

    async def _restore(self, running: Running, image: Image, runs: Runs, content: memoryview, state_fd: int) -> None:
        """Puts the saved pages in, then loads. Raises: AgentError START_FAILED."""
        try:
            mapped = ram.mapped_ram(running.process.identity.pid, image.manifest.ram_bytes)
            writing = asyncio.get_running_loop().run_in_executor(None, mapped.write, runs, content)
            try:
                await self._hold(running)  # beside it
            finally:
                await settled(writing)
        except (OSError, LookupError) as error:
            raise AgentError(
                Code.START_FAILED, "The machine's memory could not be restored.", detail=str(error)
            ) from error
        await self._load(running, state_fd)

    async def _greet(self, spec: Spec, machine: QemuMachine) -> None:
        """Tells a machine that was resumed who it is. One that stands still for want of room has written already, so it
        is kept as it is, and told when it goes on. Raises: AgentError, as `QemuMachine.identify`."""
        try:
            await machine.identify(spec, self.settings.guest_timeout_seconds)
        except AgentError as error:
            if not machine.waits_for_room:
                raise
            log.warning("resumed_without_room", sandbox_id=str(spec.sandbox_id), reason=error.message)

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
        raise AgentError(Code.UNSUPPORTED_SHAPE, f"The disk must have {least_mb} MB at least, like the template's.")

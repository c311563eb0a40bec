"""Machines that boot from a sandbox's kept disk: what a stopped sandbox is started with.

Their RAM begins empty instead of as an image's. Everything else is as for clones of the disk's image: machine, kernel,
initial RAM disk. So they are paused, resumed and adopted like all others; only the base of their RAM differs, which
their record and the manifest of their pause name.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from agent.drivers.driver import StageMark
from agent.drivers.qemu import layers as chains
from agent.drivers.qemu import records, saved
from agent.drivers.qemu.arguments import Boot
from agent.drivers.qemu.cgroups import Limits
from agent.drivers.qemu.growth import grow
from agent.drivers.qemu.images import Image, ImageStore
from agent.drivers.qemu.launch import Launcher, Plan
from agent.drivers.qemu.layers import Layers
from agent.drivers.qemu.machine import INHERITED, QemuMachine
from agent.drivers.qemu.manifests import ManifestError
from agent.drivers.qemu.proofs import Prover
from agent.drivers.qemu.ram import Base
from agent.drivers.qemu.settings import QemuSettings
from agent.errors import AgentError, Code
from agent.machine import Spec

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Booter:
    """Boots sandboxes."""

    settings: QemuSettings
    store: ImageStore
    layers: Layers
    prover: Prover
    launcher: Launcher

    async def boot(self, spec: Spec, incarnation: UUID, stage: StageMark) -> QemuMachine:
        """See `Driver.boot`. A boot that hangs is tried again. Raises: AgentError."""
        folder = self.settings.machines_dir / str(spec.sandbox_id)
        image = self._image(folder)
        await self._prove(folder, image)
        await asyncio.to_thread(_make_ready, folder)
        stage("image")
        # Only emulated boots hang by chance; one that fails under KVM fails again.
        attempts = 1 if image.manifest.accelerator == "kvm" else self.settings.boot_attempts
        for attempt in range(1, attempts + 1):
            try:
                return await self._attempt(spec, incarnation, folder, image, stage)
            except AgentError as error:
                log.warning(
                    "boot_failed",
                    sandbox_id=str(spec.sandbox_id),
                    attempt=attempt,
                    reason=error.message,
                    detail=error.detail,
                )
                if attempt == attempts or error.code is Code.NO_CAPACITY:
                    raise
        raise AssertionError("unreachable")

    def _image(self, folder: Path) -> Image:
        """What the sandbox's disk stands on. Raises: AgentError START_FAILED, IMAGE_MISMATCH."""
        try:
            there = chains.overlay(folder).exists()
            for pause in saved.readable(folder):  # without its note it would boot from another disk than it had
                saved.require_disk(folder, pause)
        except (OSError, ValueError, ManifestError) as error:
            raise AgentError(Code.START_FAILED, "The sandbox's disk is damaged.", detail=str(error)) from error
        if not there:
            raise AgentError(Code.START_FAILED, "The sandbox has no disk on this host.")
        record = records.last(folder)
        image = None if record is None else self.store.get(record.image_id)
        if record is None or image is None:
            raise AgentError(Code.START_FAILED, "The image that the sandbox's disk stands on is not on this host.")
        image.require_same(record.image_sha256)
        return image

    async def _prove(self, folder: Path, image: Image) -> None:
        """What lies under the sandbox's overlay is whole; nothing has been touched yet. Raises: AgentError
        IMAGE_MISMATCH."""
        await self.prover.image(image)
        try:
            await self.prover.layers(chains.read(folder).layers)
        except (ManifestError, OSError, ValueError) as error:
            message = "What the sandbox's disk stands on is damaged."
            raise AgentError(Code.IMAGE_MISMATCH, message, detail=str(error)) from error

    async def _attempt(
        self, spec: Spec, incarnation: UUID, folder: Path, image: Image, stage: StageMark
    ) -> QemuMachine:
        known = image.manifest
        base = (self.settings.data_dir / known.disks[-1]).parent
        chain = chains.read(folder)
        async with contextlib.AsyncExitStack() as undo:
            running = await self.launcher.launch(
                Plan(
                    name=str(incarnation),
                    image_id=known.content_id,
                    image_sha256=known.sha256,
                    folder=folder,
                    guest_arguments=known.arguments,
                    accelerator=known.accelerator,
                    disk=image.disk(folder / chain.overlay, self.settings.data_dir, self.layers.below(chain)),
                    disk_size_mb=spec.disk_size_mb,
                    ram_fd=self.store.empty_ram(),
                    ram_bytes=known.ram_bytes,
                    ram_shared=False,
                    ram_base=Base.EMPTY,
                    limits=Limits(spec.memory_mb, spec.vcpus),
                    boot=Boot(base / "kernel", base / "initrd", known.kernel_arguments),
                )
            )
            machine = QemuMachine(folder, image, incarnation, running, Base.EMPTY)
            undo.push_async_callback(machine.end)
            stage("spawn")
            try:
                await machine.identify(spec, self.settings.boot_timeout_seconds)
            except AgentError as error:
                console = await running.monitor.console()
                detail = f"{error.message}; console: {console[-2000:]!r}; {running.process.words()}"
                raise AgentError(Code.START_FAILED, "The sandbox did not boot in time.", detail=detail) from error
            # Only where a start was cut off before its disk had grown is there anything to do.
            await grow(machine, spec.disk_size_mb, known.disk_size_mb, self.settings.grow_timeout_seconds)
            stage("guest")
            undo.pop_all()
        return machine


def _make_ready(folder: Path) -> None:
    """Nothing else uses the disk, and nothing that was saved counts any more. Blocks."""
    records.end_process(folder)
    records.end_strays(folder)
    saved.discard_pauses(folder)
    (folder / INHERITED).unlink(missing_ok=True)

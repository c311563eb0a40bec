"""Making a memory image: a template boots once, until its guest agent answers, and is kept as it stands then."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.drivers.qemu import arguments, disks, manifests, ram, sockets
from agent.drivers.qemu.arguments import Boot, Disk
from agent.drivers.qemu.cgroups import Limits
from agent.drivers.qemu.images import DISK, RAM, STATE, Image, ImageStore, closing
from agent.drivers.qemu.launch import RUN, Launcher, Plan, Running
from agent.drivers.qemu.manifests import FileSum, ImageManifest, ManifestError
from agent.drivers.qemu.monitor import MonitorError
from agent.drivers.qemu.sums import Sums
from agent.errors import AgentError, Code
from agent.images import BaseImage
from agent.link import warmup
from agent.link.link import GuestLink

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a memory image depends on."""

    template_name: str
    vcpus: int
    memory_mb: int
    base: BaseImage
    accelerator: str
    qemu_version: str
    tsc_khz: int

    @property
    def cpu(self) -> str:
        """QEMU's default model lacks what today's programs expect; `max` under TCG is what it can emulate."""
        return "host" if self.accelerator == "kvm" else "max"

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the guest sees."""
        return tuple(arguments.guest_arguments(cpu=self.cpu, vcpus=self.vcpus, memory_mb=self.memory_mb))

    @property
    def kernel_arguments(self) -> str:
        """The guest kernel's command line."""
        return arguments.kernel_arguments(self.tsc_khz)

    @property
    def content_id(self) -> str:
        """The name of the image that it makes."""
        return manifests.content_id(
            {
                "format": manifests.FORMAT,
                "template": self.template_name,
                "base": self.base.content_id,
                "warm_up": (warmup.ROUNDS, warmup.PROGRAMS),
                "arguments": self.arguments,
                "kernel_arguments": self.kernel_arguments,
                "accelerator": self.accelerator,
                "qemu_version": self.qemu_version,
            }
        )


@dataclass(frozen=True, slots=True)
class TemplateMaker:
    """Boots templates."""

    store: ImageStore
    sums: Sums
    launcher: Launcher
    data_dir: Path
    boot_timeout_seconds: float
    boot_attempts: int

    async def make(self, recipe: Recipe) -> Image:
        """Boots, saves and publishes; a boot that hangs is tried again. Nothing is left after a failure.

        Raises: AgentError START_FAILED, DISK_FULL, IMAGE_MISMATCH.
        """
        folder = self.store.begin(recipe.content_id)
        self.sums.begin(recipe.base.disk)  # beside the boot: known when it is asked for
        try:
            # Only emulated boots hang by chance; one that fails under KVM fails again.
            attempts = 1 if recipe.accelerator == "kvm" else self.boot_attempts
            for attempt in range(1, attempts + 1):
                try:
                    return await self._attempt(recipe, folder)
                except AgentError as error:
                    log.warning("template_boot_failed", attempt=attempt, detail=error.detail, reason=error.message)
                    if attempt == attempts or error.code is not Code.START_FAILED:
                        raise
            raise AssertionError("unreachable")
        finally:
            self.store.discard(folder)

    async def _attempt(self, recipe: Recipe, folder: Path) -> Image:
        for name in (DISK, RAM, STATE):
            (folder / name).unlink(missing_ok=True)
        try:
            disks.make_overlay(folder / DISK, recipe.base.disk_size_mb)
        except OSError as error:
            raise disks.disk_error(error, Code.START_FAILED, "The template's disk could not be made.") from error
        ram_bytes = recipe.memory_mb << 20
        with closing(ram.new_ram(ram_bytes)) as ram_fd:
            running = await self.launcher.launch(
                Plan(
                    name=f"template-{recipe.content_id}",
                    image_id=recipe.content_id,
                    image_sha256="",
                    folder=folder,
                    guest_arguments=recipe.arguments,
                    accelerator=recipe.accelerator,
                    disk=Disk(folder / DISK, (recipe.base.disk,)),
                    disk_size_mb=recipe.base.disk_size_mb,
                    ram_fd=ram_fd,
                    ram_bytes=ram_bytes,
                    ram_shared=True,
                    limits=Limits(recipe.memory_mb, recipe.vcpus),
                    boot=Boot(recipe.base.kernel, recipe.base.initrd, recipe.kernel_arguments),
                )
            )
            try:
                await self._settle(running, folder)
                await self._save_state(running, folder)
            except MonitorError as error:
                raise AgentError(Code.START_FAILED, "The template could not be saved.", detail=str(error)) from error
            finally:
                await running.end()
            sums = await self._sums(recipe, folder)
            return await asyncio.to_thread(self._publish, recipe, folder, ram_fd, sums)

    async def _sums(self, recipe: Recipe, folder: Path) -> tuple[FileSum, ...]:
        """Of the image's disks. What its base held when an image was made on it for the first time is what it must
        hold. Raises: AgentError IMAGE_MISMATCH, START_FAILED."""
        name = self._below(recipe)
        others = (zip(image.manifest.disks, image.manifest.disk_sums, strict=False) for image in self.store.all())
        known = next((content for pairs in others for disk, content in pairs if disk == name), None)
        try:
            own, base = await self.sums.of(folder / DISK), await self.sums.of(recipe.base.disk)
        except (OSError, ManifestError) as error:
            raise AgentError(Code.START_FAILED, "The template's disk could not be read.", detail=str(error)) from error
        if known not in {None, base}:
            detail = f"{recipe.base.disk} is not what it was"
            raise AgentError(Code.IMAGE_MISMATCH, "The template's disk is damaged.", detail=detail)
        return own, base

    def _below(self, recipe: Recipe) -> str:
        """The base image's disk, as manifests name it."""
        relative = os.path.relpath(recipe.base.disk, self.data_dir)
        return str(recipe.base.disk) if relative.startswith("..") else relative

    async def _settle(self, running: Running, folder: Path) -> None:
        """Waits for the guest, and has it do once what sandboxes do first, so that clones find it in memory."""
        connection = sockets.connect(folder / RUN, sockets.LINK)
        try:
            async with asyncio.timeout(self.boot_timeout_seconds):
                link = await GuestLink.open(connection, deadline_seconds=self.boot_timeout_seconds)
                try:
                    await warmup.warm_up(link)
                    await link.quiesce()
                finally:
                    await link.close()
        except (AgentError, OSError, TimeoutError) as error:
            console = await running.monitor.console()
            detail = f"{error!r}; console: {console[-2000:]!r}; {running.process.words()}"
            running.room.require()
            raise AgentError(Code.START_FAILED, "The template did not boot in time.", detail=detail) from error

    async def _save_state(self, running: Running, folder: Path) -> None:
        running.room.is_held = True
        await running.monitor.run("stop")
        state = os.open(folder / STATE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with closing(state):
            number = await running.monitor.send_descriptor(state)
            await running.monitor.run("xen-save-devices-state", filename=f"/dev/fdset/{number}", live=False)

    def _publish(self, recipe: Recipe, folder: Path, ram_fd: int, sums: tuple[FileSum, ...]) -> Image:
        try:
            ram.store(ram_fd, folder / RAM)
            # Clones run under other users than the template did.
            (folder / DISK).chmod(0o644)
            own = self.store.path(recipe.content_id) / DISK
            manifest = ImageManifest(
                content_id=recipe.content_id,
                template_name=recipe.template_name,
                vcpus=recipe.vcpus,
                memory_mb=recipe.memory_mb,
                disk_size_mb=recipe.base.disk_size_mb,
                accelerator=recipe.accelerator,
                qemu_version=recipe.qemu_version,
                cpu=recipe.cpu,
                tsc_khz=recipe.tsc_khz,
                kernel_arguments=recipe.kernel_arguments,
                arguments=recipe.arguments,
                base_content_id=recipe.base.content_id,
                disks=(os.path.relpath(own, self.data_dir), self._below(recipe)),
                state=manifests.sum_of_file(folder / STATE),
                ram_bytes=recipe.memory_mb << 20,
                ram_sha256=ram.sum_of(folder / RAM),
                disk_sums=sums,
            )
            return self.store.publish(folder, manifest)
        except OSError as error:
            raise AgentError(Code.DISK_FULL, "The template's image could not be stored.", detail=str(error)) from error

"""Images that are made of snapshots: memory merged, disk flattened, kernel beside it. They stand on nothing else."""

import asyncio
import os
import shutil
from pathlib import Path
from uuid import UUID

import structlog

from agent.drivers.driver import NewTemplate, ProgressMark
from agent.drivers.qemu import disks, manifests, ram
from agent.drivers.qemu.flattening import Flattener
from agent.drivers.qemu.images import RAM, STATE, Image, ImageStore
from agent.drivers.qemu.launch import settled
from agent.drivers.qemu.manifests import FileSum, ImageManifest, ManifestError
from agent.drivers.qemu.proofs import Prover
from agent.drivers.qemu.ram import Base
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.snapshots import Snapshot, Snapshots
from agent.drivers.qemu.standing import Standing
from agent.errors import AgentError, Code
from agent.images.build import link_or_copy
from agent.machine import Spec

DISK = "disk"  # raw, sparse
DISK_SHARE = 80  # of the progress: flattening takes most of the time
log = structlog.get_logger()


def content_id(template_id: UUID) -> str:
    """The name of a template's image."""
    return f"template-{template_id.hex}"


def image_of(store: ImageStore, spec: Spec, qemu_version: str) -> Image:
    """The image of a template that was made of a sandbox. Raises: AgentError UNKNOWN_TEMPLATE, UNSUPPORTED_SHAPE,
    IMAGE_MISMATCH."""
    image = store.get(content_id(spec.template_id))
    if image is None:
        raise AgentError(Code.UNKNOWN_TEMPLATE, "This host has no such template.")
    known = image.manifest
    if (spec.vcpus, spec.memory_mb) != (known.vcpus, known.memory_mb):
        message = f"The template's shape is fixed: {known.vcpus} vCPUs and {known.memory_mb} MB of memory."
        raise AgentError(Code.UNSUPPORTED_SHAPE, message)
    if known.qemu_version != qemu_version:
        message = (
            f"The template's memory was saved under QEMU {known.qemu_version}, and only that can load it; this host "
            f"has {qemu_version} now. It is kept as it is."
        )
        raise AgentError(Code.IMAGE_MISMATCH, message)
    return image


class Templates:
    """Makes and removes them."""

    def __init__(
        self,
        settings: QemuSettings,
        store: ImageStore,
        snapshots: Snapshots,
        standing: Standing,
        prover: Prover,
        flattener: Flattener,
    ) -> None:
        self._settings = settings
        self._store = store
        self._snapshots = snapshots
        self._standing = standing
        self._prover = prover
        self._flattener = flattener

    async def make(self, snapshot: Snapshot, template: NewTemplate, progress: ProgressMark) -> Image:
        """See `Driver.make_template`. Raises: AgentError SNAPSHOT_FAILED, DISK_FULL, IMAGE_MISMATCH."""
        name = content_id(template.template_id)
        if image := self._store.get(name):
            return image
        base = self._store.get(snapshot.manifest.image_id)
        if base is None:
            raise AgentError(Code.IMAGE_MISMATCH, "The image that the sandbox stands on is not on this host.")
        base.require_same(snapshot.manifest.image_sha256)
        folder = self._store.begin(name)
        try:
            progress(0)
            await self._prover.wholly(base, snapshot.manifest.layers)
            await self._flatten(snapshot, base, folder / DISK, lambda percent: progress(percent * DISK_SHARE // 100))
            loop = asyncio.get_running_loop()
            # the disk is summed while memory is merged
            merging = loop.run_in_executor(None, self._merge, snapshot, base, folder)
            try:
                disk = await self._prover.sums.of(folder / DISK)
            finally:
                await settled(merging)
            publishing = loop.run_in_executor(None, self._publish, snapshot, base, template, folder, disk)
            image = await settled(publishing)
            progress(100)
            return image
        except OSError as error:
            raise disks.disk_error(error, Code.SNAPSHOT_FAILED, "The template could not be stored.") from error
        except ManifestError as error:
            message = "The template's disk was written to while it was read."
            raise AgentError(Code.SNAPSHOT_FAILED, message, detail=str(error)) from error
        finally:
            await asyncio.to_thread(self._store.discard, folder)

    def _merge(self, snapshot: Snapshot, base: Image, folder: Path) -> None:
        stored = base.folder / RAM if Base(snapshot.manifest.ram_base) is Base.IMAGE else None
        ram.merge(stored, snapshot.runs, snapshot.content, base.manifest.ram_bytes, folder / RAM)

    def _publish(self, snapshot: Snapshot, base: Image, template: NewTemplate, folder: Path, disk: FileSum) -> Image:
        kept, known = snapshot.manifest, base.manifest
        shutil.copyfile(snapshot.folder / STATE, folder / STATE)
        below = (self._settings.data_dir / known.disks[-1]).parent
        for part in ("kernel", "initrd"):
            link_or_copy(below / part, folder / part)
        (folder / DISK).chmod(0o444)
        own = self._store.path(content_id(template.template_id)) / DISK
        manifest = ImageManifest(
            content_id=content_id(template.template_id),
            template_name=template.name,
            vcpus=kept.vcpus,
            memory_mb=kept.memory_mb,
            disk_size_mb=kept.disk_size_mb,
            accelerator=known.accelerator,
            qemu_version=kept.qemu_version,
            cpu=known.cpu,
            tsc_khz=known.tsc_khz,
            kernel_arguments=known.kernel_arguments,
            arguments=known.arguments,
            base_content_id=known.base_content_id,
            disks=(os.path.relpath(own, self._settings.data_dir),),
            state=manifests.sum_of_file(folder / STATE),
            ram_bytes=known.ram_bytes,
            template_id=str(template.template_id),
            ram_sha256=ram.sum_of(folder / RAM),
            disk_sums=(disk,),
        )
        return self._store.publish(folder, manifest)

    async def _flatten(self, snapshot: Snapshot, base: Image, target: Path, progress: ProgressMark) -> None:
        layers = [self._snapshots.layers.path(name) for name in snapshot.manifest.layers]
        chain = base.disk(layers[0], self._settings.data_dir, tuple(layers[1:]))
        await self._flattener.flatten(chain, snapshot.manifest.disk_size_mb << 20, target, progress)

    async def remove(self, template_id: UUID) -> None:
        """See `Driver.remove_template`. Raises: AgentError TEMPLATE_IN_USE."""
        name = content_id(template_id)
        if self._store.get(name) is None:
            return
        needs = await asyncio.to_thread(self._standing.look)
        if name in needs.images:
            raise AgentError(Code.TEMPLATE_IN_USE, "A sandbox on this host stands on the template.")
        await asyncio.to_thread(self._store.put_by if needs.is_in_doubt else self._store.remove, name)

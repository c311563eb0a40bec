"""Snapshots: what a sandbox is at one moment, kept aside for templates and forks.

A machine that runs stands still while QEMU writes its device state, its own pages are read, and its disk gets a new
overlay; what takes long, writing and syncing the pages, comes after it has gone on. Where the agent is killed
meanwhile, either nothing counts or all of it: `overlays.settle_chain` is what an adopting agent does about the disk.
"""

import asyncio
import contextlib
import mmap
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from agent.drivers.driver import Leftover, StageMark
from agent.drivers.qemu import disks, layers, manifests, put_aside, ram, saved
from agent.drivers.qemu.disks import DISK_FULL_ERRNOS
from agent.drivers.qemu.growth import top_node
from agent.drivers.qemu.layers import Chain, Layers
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.manifests import FileSum, ManifestError, SnapshotManifest
from agent.drivers.qemu.monitor import MonitorError
from agent.drivers.qemu.overlays import offered, put_above, settle_chain
from agent.drivers.qemu.pausing import goes_on, write_state
from agent.drivers.qemu.ram import MappedRam, Runs, bytes_of
from agent.drivers.qemu.saved import MEMORY, STATE, OwnPages, Unfinished, own_pages
from agent.errors import AgentError, Code
from agent.images.build import copy_sparse
from agent.machine import Spec

UNFINISHED = "unfinished-"
HELD_BYTES_MAX = 128 << 20
"""Of one machine's pages, in the agent's memory while they are written: ~60 ms of standing still for as many."""
_FAILURES = (MonitorError, OSError, LookupError, EOFError, ValueError, TimeoutError, asyncio.CancelledError)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A complete one; its pages are mapped and proved."""

    folder: Path
    manifest: SnapshotManifest
    runs: Runs
    content: memoryview


class Snapshots:
    """All snapshots of this host, and the layers that they and machines stand on."""

    def __init__(self, folder: Path, machines_dir: Path, quarantine: Path, layers_: Layers) -> None:
        self.layers = layers_
        self._folder = folder
        self._machines_dir = machines_dir
        self._quarantine = quarantine
        self._loaded: dict[UUID, Snapshot] = {}
        self._merged: dict[UUID, int] = {}
        self._loading = asyncio.Lock()
        self._naming = asyncio.Lock()
        """Held while a layer has a name that nothing mentions yet, and while such layers are removed."""

    def open(self) -> None:
        """Removes what is not complete, and layers that nothing names. Raises: OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.layers.open()
        for path in self._folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(path, ignore_errors=True)
        self._sweep()

    def has(self, snapshot_id: UUID) -> bool:
        """Whether it is complete."""
        return (self._folder / str(snapshot_id) / manifests.FILE).exists()

    def all(self) -> frozenset[UUID]:
        """Every complete one."""
        found = set()
        for path in self._folder.iterdir():
            with contextlib.suppress(ValueError):
                found.add(UUID(path.name))
        return frozenset(found)

    def manifest(self, snapshot_id: UUID) -> SnapshotManifest:
        """What it is of. Raises: AgentError UNKNOWN_SNAPSHOT."""
        try:
            return manifests.read_snapshot(self._folder / str(snapshot_id))
        except ManifestError as error:
            message = "What was kept of the sandbox is not there any more, or is damaged."
            raise AgentError(Code.UNKNOWN_SNAPSHOT, message, detail=str(error)) from error

    async def load(self, snapshot_id: UUID) -> Snapshot:
        """A snapshot, read and proved once for all who start from it. Raises: AgentError UNKNOWN_SNAPSHOT."""
        async with self._loading:
            if snapshot_id not in self._loaded:
                self._loaded[snapshot_id] = await asyncio.to_thread(self._load, snapshot_id)
            return self._loaded[snapshot_id]

    def _load(self, snapshot_id: UUID) -> Snapshot:
        manifest, folder = self.manifest(snapshot_id), self._folder / str(snapshot_id)
        try:
            missing = [name for name in manifest.layers if not self.layers.path(name).exists()]
            if missing:
                raise ManifestError(f"{folder}: layers are missing: {missing}")
            runs, content = saved.load_pages(folder, manifest.files, manifest.memory_mb << 20)
        except (ManifestError, OSError, ValueError) as error:
            message = "What was kept of the sandbox is damaged."
            raise AgentError(Code.UNKNOWN_SNAPSHOT, message, detail=str(error)) from error
        return Snapshot(folder, manifest, runs, content)

    async def ram(self, snapshot: Snapshot, base: int | None) -> int:
        """Its memory as one sealed file upon `base` (None: zeros), made once for all who start from it: they share what
        they do not write to. It stays this object's, until the snapshot is dropped. Raises: OSError."""
        async with self._loading:
            name = UUID(snapshot.manifest.snapshot_id)
            if name not in self._merged:
                size_bytes = snapshot.manifest.memory_mb << 20
                self._merged[name] = await asyncio.to_thread(
                    ram.merged, base, snapshot.runs, snapshot.content, size_bytes
                )
            return self._merged[name]

    def close(self) -> None:
        """Lets go of memory; machines that map it keep it."""
        for name in tuple(self._merged):
            self._let_go(name)

    def _let_go(self, snapshot_id: UUID) -> None:
        self._loaded.pop(snapshot_id, None)
        if (fd := self._merged.pop(snapshot_id, -1)) >= 0:
            os.close(fd)

    async def drop(self, snapshot_id: UUID) -> None:
        """Forgets it, and layers that nothing else names. May be repeated."""
        async with self._loading:
            self._let_go(snapshot_id)
        folder = self._folder / str(snapshot_id)
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            await self.sweep()

    async def sweep(self) -> None:
        """Removes layers that nothing names."""
        async with self._naming:
            await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        try:
            named = set(put_aside.layers_of(self._quarantine))
            for folder in self._machines_dir.iterdir():
                named.update(layers.read(folder).layers)
            for snapshot_id in self.all():
                named.update(manifests.read_snapshot(self._folder / str(snapshot_id)).layers)
        except (OSError, ValueError, ManifestError) as error:
            # what cannot be read may name any of them
            log.warning("layers_not_swept", reason=repr(error))
            return
        if count := self.layers.sweep(named):
            log.info("layers_removed", count=count)

    def images_in_use(self) -> frozenset[str]:
        """The images that snapshots stand on, and whatever was put aside, by content id. Raises: AgentError,
        ManifestError: it cannot be told."""
        try:
            aside = put_aside.images_of(self._quarantine)
        except (OSError, ValueError) as error:
            raise ManifestError(f"{self._quarantine}: {error!r}") from error
        return aside | {self.manifest(snapshot_id).image_id for snapshot_id in self.all()}

    def leftovers(self, known: frozenset[UUID]) -> list[Leftover]:
        """Snapshots that are not known."""
        folder = self._folder
        return [
            Leftover(
                f"{folder.name}/{one}", disks.blocks_of(folder / str(one)), "A snapshot of which the ledger is silent."
            )
            for one in sorted(self.all() - known)
        ]

    async def keep_running(
        self, spec: Spec, machine: QemuMachine, snapshot_id: UUID, timeout_seconds: float, stage: StageMark
    ) -> None:
        """See `Driver.snapshot`, of a machine that runs.

        Raises: AgentError SNAPSHOT_FAILED, DISK_FULL, MACHINE_GONE.
        """
        started = time.perf_counter()
        unfinished: Unfinished | None = None
        frozen: _Frozen | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                unfinished = self._begin(snapshot_id)
                frozen = await self._prepare(spec, machine)
                pages = await self._freeze(machine, unfinished, frozen, stage)
                await self._publish(spec, machine, unfinished, frozen, pages, snapshot_id)
                stage("sync")
        except _FAILURES as error:
            if unfinished is not None:
                unfinished.withdraw()
            there = await goes_on(machine)
            if frozen is not None:
                await asyncio.shield(self._undo(machine, frozen))
            raise _failure(error, there=there) from error
        finally:
            if unfinished is not None:
                unfinished.close()
        log.info(
            "snapshot_kept", snapshot_id=str(snapshot_id), milliseconds=round((time.perf_counter() - started) * 1000)
        )

    def _begin(self, snapshot_id: UUID) -> Unfinished:
        return Unfinished(self._folder, f"{UNFINISHED}{snapshot_id}", str(snapshot_id))

    async def _prepare(self, spec: Spec, machine: QemuMachine) -> "_Frozen":
        """While the guest still runs: a new overlay, the layer's name, and a note that tells of both. Whoever reads it
        before QEMU writes to the new overlay finds the same disk: an empty overlay upon what is written to now."""
        async with self._naming:
            return await asyncio.to_thread(self._name_layer, spec, machine)

    def _name_layer(self, spec: Spec, machine: QemuMachine) -> "_Frozen":
        chain = layers.read(machine.folder)
        overlay = layers.next_overlay()
        disks.make_overlay(machine.folder / overlay, spec.disk_size_mb)
        layer = self.layers.link(machine.folder / chain.overlay)
        frozen = _Frozen(chain, chain.frozen(layer, overlay), layer)
        layers.write(machine.folder, frozen.after)
        return frozen

    async def _freeze(
        self, machine: QemuMachine, unfinished: Unfinished, frozen: "_Frozen", stage: StageMark
    ) -> OwnPages | FileSum:
        monitor = machine.running.monitor
        mapped = ram.mapped_ram(machine.process.pid, machine.image.manifest.ram_bytes)
        node = await top_node(machine)
        room = await asyncio.to_thread(mapped.room, HELD_BYTES_MAX)
        path = machine.folder / frozen.after.overlay
        async with offered(monitor, path) as number:
            await machine.quiesce()
            since = time.perf_counter()
            await monitor.run("stop")
            stage("stop")
            pages, _ = await asyncio.gather(
                asyncio.to_thread(_keep_memory, machine, mapped, unfinished, room),
                write_state(monitor, unfinished),
            )
            stage("save")
            await put_above(monitor, node, layers.node_of(frozen.after.overlay), number)
            machine.running.overlay = path
            stage("layer")
            await monitor.run("cont")
            machine.release()
            stage("continue")
        log.info("stood_still", milliseconds=round((time.perf_counter() - since) * 1000, 1))
        return pages

    async def _publish(
        self,
        spec: Spec,
        machine: QemuMachine,
        unfinished: Unfinished,
        frozen: "_Frozen",
        pages: OwnPages | FileSum,
        snapshot_id: UUID,
    ) -> None:
        memory, state, _ = await asyncio.gather(
            asyncio.to_thread(_write_memory, unfinished, pages),
            asyncio.to_thread(unfinished.finish_state),
            asyncio.to_thread(self.layers.settle, frozen.layer),
        )
        image = machine.image.manifest
        manifest = self._manifest(
            spec,
            snapshot_id,
            image_id=image.content_id,
            qemu_version=machine.running.monitor.qemu_version,
            accelerator=image.accelerator,
            ram_base=machine.ram_base,
            names=frozen.after.layers,
            files={MEMORY: memory, STATE: state},
        )
        await asyncio.to_thread(unfinished.publish, manifest)
        (machine.folder / frozen.before.overlay).unlink(missing_ok=True)

    def _manifest(
        self,
        spec: Spec,
        snapshot_id: UUID,
        *,
        image_id: str,
        qemu_version: str,
        accelerator: str,
        ram_base: str,
        names: tuple[str, ...],
        files: dict[str, FileSum],
    ) -> SnapshotManifest:
        return SnapshotManifest(
            snapshot_id=str(snapshot_id),
            sandbox_id=str(spec.sandbox_id),
            image_id=image_id,
            qemu_version=qemu_version,
            accelerator=accelerator,
            vcpus=spec.vcpus,
            memory_mb=spec.memory_mb,
            disk_size_mb=spec.disk_size_mb,
            layers=names,
            files=files,
            ram_base=ram_base,
        )

    async def _undo(self, machine: QemuMachine, frozen: "_Frozen") -> None:
        """After a failure the note says what QEMU does; a layer that the disk stands on by now stays one."""
        async with self._naming:
            try:
                await settle_chain(machine, frozen.before)
                await asyncio.to_thread(self._sweep)
            except (MonitorError, OSError, ValueError) as error:
                # the note tells of the same disk either way; the next adoption looks again
                log.warning("chain_not_settled", folder=str(machine.folder), reason=repr(error))

    async def keep_paused(self, spec: Spec, machine_dir: Path, snapshot_id: UUID, stage: StageMark) -> None:
        """See `Driver.snapshot`, of a sandbox that is paused: its memory is linked, its overlay copied, without holes.

        Raises: AgentError IMAGE_MISMATCH, SNAPSHOT_FAILED, DISK_FULL.
        """
        unfinished: Unfinished | None = None
        try:
            pause_dir, pause = saved.latest(machine_dir)
            unfinished = self._begin(snapshot_id)
            async with self._naming:
                names = await asyncio.to_thread(self._copy_paused, machine_dir, pause_dir, unfinished)
                stage("save")
                manifest = self._manifest(
                    spec,
                    snapshot_id,
                    image_id=pause.image_id,
                    qemu_version=pause.qemu_version,
                    accelerator=pause.accelerator,
                    ram_base=pause.ram_base,
                    names=names,
                    files=pause.files,
                )
                await asyncio.to_thread(unfinished.publish, manifest)
            stage("sync")
        except ManifestError as error:
            message = "What was saved of this sandbox is damaged, or not there."
            raise AgentError(Code.IMAGE_MISMATCH, message, detail=str(error)) from error
        except _FAILURES as error:
            if unfinished is not None:
                unfinished.withdraw()
            await asyncio.shield(self.sweep())
            raise _failure(error, there=True) from error
        finally:
            if unfinished is not None:
                unfinished.close()

    def _copy_paused(self, machine_dir: Path, pause_dir: Path, unfinished: Unfinished) -> tuple[str, ...]:
        chain = layers.read(machine_dir)
        copy = machine_dir / f"{UNFINISHED}layer"
        copy.unlink(missing_ok=True)
        try:
            copy_sparse(machine_dir / chain.overlay, copy)
            layer = self.layers.link(copy)
        finally:
            copy.unlink(missing_ok=True)
        self.layers.settle(layer)
        for name in (MEMORY, STATE):
            (unfinished.folder / name).unlink(missing_ok=True)
            (unfinished.folder / name).hardlink_to(pause_dir / name)
        return (layer, *chain.layers)


@dataclass(frozen=True, slots=True)
class _Frozen:
    """A machine's chain before and after its overlay became a layer."""

    before: Chain
    after: Chain
    layer: str


def _keep_memory(
    machine: QemuMachine, mapped: MappedRam, unfinished: Unfinished, room: mmap.mmap | None
) -> OwnPages | FileSum:
    """Reads the machine's own pages, to be written when it has gone on. Of more than can be held so long it is what was
    written: the machine stands still for longer, and the host's memory is not filled."""
    own = own_pages(mapped, machine.ram_base, machine.inherited)
    size = bytes_of(own)
    if size > HELD_BYTES_MAX:
        return unfinished.save_memory(mapped, own)
    return OwnPages(own, memoryview(mapped.read(own, room))[:size])


def _write_memory(unfinished: Unfinished, pages: OwnPages | FileSum) -> FileSum:
    return unfinished.write_memory(pages) if isinstance(pages, OwnPages) else pages


def _failure(error: BaseException, *, there: bool) -> BaseException:
    if not there:
        return AgentError(Code.MACHINE_GONE, "The machine ended while it was being snapshotted.", detail=repr(error))
    if isinstance(error, asyncio.CancelledError):
        return error
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
        return AgentError(Code.DISK_FULL, "The host's disk is full.", detail=str(error))
    return AgentError(Code.SNAPSHOT_FAILED, "The sandbox could not be snapshotted: it goes on.", detail=repr(error))

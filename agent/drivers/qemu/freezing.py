"""How a sandbox is kept as it is at one moment.

A machine that runs stands still while QEMU writes its device state, its own pages are read, and its disk gets a new
overlay; what takes long, writing and syncing the pages, comes after it has gone on. Where the agent is killed
meanwhile, either nothing counts or all of it: `overlays.settle_chain` is what an adopting agent does about the disk.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from agent.drivers.driver import StageMark
from agent.drivers.qemu import disks, held, layers, ram, saved, threads
from agent.drivers.qemu.disks import DISK_FULL_ERRNOS
from agent.drivers.qemu.growth import top_node
from agent.drivers.qemu.held import OwnPages
from agent.drivers.qemu.layers import LAYERS_MAX, LAYERS_MOST, Chain
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.manifests import FileSum, ManifestError, SnapshotManifest
from agent.drivers.qemu.monitor import MonitorError
from agent.drivers.qemu.overlays import make_sure, offered, put_above, settle_chain
from agent.drivers.qemu.pausing import goes_on, write_state
from agent.drivers.qemu.proofs import Prover
from agent.drivers.qemu.saved import MEMORY, STATE, Unfinished
from agent.drivers.qemu.snapshots import UNFINISHED, Snapshots
from agent.drivers.qemu.streaming import bring_together
from agent.drivers.qemu.tasks import together
from agent.errors import AgentError, Code
from agent.images.build import copy_sparse
from agent.machine import Spec

COPY = "overlay"  # of one that is paused, until it is a layer
_FAILURES = (MonitorError, OSError, LookupError, EOFError, ValueError, TimeoutError, asyncio.CancelledError)
log = structlog.get_logger()


class Freezer:
    """Makes snapshots."""

    def __init__(self, snapshots: Snapshots, prover: Prover) -> None:
        self._snapshots = snapshots
        self._prover = prover

    async def keep_running(
        self, spec: Spec, machine: QemuMachine, snapshot_id: UUID, timeout_seconds: float, stage: StageMark
    ) -> None:
        """See `Driver.snapshot`, of a machine that runs.

        Raises: AgentError SNAPSHOT_FAILED, DISK_FULL, MACHINE_GONE.
        """
        machine.running.room.require()
        await self._bound_layers(machine, timeout_seconds)
        started = time.perf_counter()
        unfinished: Unfinished | None = None
        before: Chain | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                unfinished = self._begin(snapshot_id)
                before = layers.read(machine.folder)
                frozen = await self._prepare(spec, machine)
                pages = await self._freeze(machine, unfinished, frozen, stage)
                await self._publish(spec, machine, unfinished, frozen, pages, snapshot_id)
                stage("sync")
            self._prover.sum_later(frozen.layer)
        except _FAILURES as error:
            if unfinished is not None:
                unfinished.withdraw()
            there = await goes_on(machine)
            if before is not None:
                await asyncio.shield(self._undo(machine, before))
            raise _failure(error, there=there) from error
        finally:
            if unfinished is not None:
                unfinished.close()
        log.info(
            "snapshot_kept", snapshot_id=str(snapshot_id), milliseconds=round((time.perf_counter() - started) * 1000)
        )

    async def _bound_layers(self, machine: QemuMachine, timeout_seconds: float) -> None:
        """Before there would be too many of them. The guest goes on meanwhile."""
        must = True
        try:
            await make_sure(machine)
            must = False
            former = layers.read(machine.folder).layers
            if (count := len(former)) < LAYERS_MAX:
                return
            # it need not come about now if it takes long; at last it must
            must = count >= LAYERS_MOST
            await bring_together(machine, timeout_seconds if must else timeout_seconds / 4)
        except (MonitorError, OSError, ValueError, TimeoutError) as error:
            if must or not machine.running.process.running:
                raise _failure(error, there=machine.running.process.running) from error
            log.warning("layers_not_brought_together", folder=machine.folder.name, reason=repr(error))
            return
        await self._snapshots.let_go(former, machine.image.manifest.content_id)

    def _begin(self, snapshot_id: UUID) -> Unfinished:
        return Unfinished(self._snapshots.folder, f"{UNFINISHED}{snapshot_id}", str(snapshot_id))

    async def _prepare(self, spec: Spec, machine: QemuMachine) -> "_Frozen":
        """While the guest still runs: a new overlay, the layer's name, and a note that tells of both. Whoever reads it
        before QEMU writes to the new overlay finds the same disk: an empty overlay upon what is written to now."""
        async with self._snapshots.naming:
            machine.chain_settled = False
            return await threads.by(None, self._name_layer, spec, machine)

    def _name_layer(self, spec: Spec, machine: QemuMachine) -> "_Frozen":
        chain = layers.noted(machine.folder)
        overlay = layers.next_overlay()
        layer = self._snapshots.layers.link(machine.folder / chain.overlay)
        disks.make_overlay(machine.folder / overlay, spec.disk_size_mb)
        frozen = _Frozen(chain, chain.frozen(layer, overlay), layer)
        try:
            layers.write(machine.folder, frozen.after)
        except OSError:
            if layers.read(machine.folder) == chain:
                (machine.folder / overlay).unlink()
            raise
        return frozen

    async def _freeze(
        self, machine: QemuMachine, unfinished: Unfinished, frozen: "_Frozen", stage: StageMark
    ) -> OwnPages:
        monitor = machine.running.monitor
        mapped = ram.mapped_ram(machine.process.pid, machine.image.manifest.ram_bytes)
        node = await top_node(machine)
        room = await threads.by(None, held.make_room, mapped, machine.inherited)
        path = machine.folder / frozen.after.overlay
        with threads.own_thread() as thread:
            async with offered(monitor, path) as number:
                await machine.stand_still()
                stage("stop")
                async with together() as tasks:
                    pages = tasks.create_task(
                        threads.by(thread, held.read, mapped, machine.ram_base, machine.inherited, room, unfinished)
                    )
                    tasks.create_task(write_state(monitor, unfinished))
                stage("save")
                await put_above(monitor, node, layers.node_of(frozen.after.overlay), number)
                machine.running.overlay, machine.chain_settled = path, True
                stage("layer")
                seconds = await machine.go_on()
                stage("continue")
        log.info("stood_still", milliseconds=round(seconds * 1000, 1))
        return pages.result()

    async def _publish(
        self,
        spec: Spec,
        machine: QemuMachine,
        unfinished: Unfinished,
        frozen: "_Frozen",
        pages: OwnPages,
        snapshot_id: UUID,
    ) -> None:
        async with together() as tasks:
            memory = tasks.create_task(threads.by(None, held.write, pages, machine.ram_base, unfinished))
            state = tasks.create_task(threads.by(None, unfinished.finish_state))
            tasks.create_task(threads.by(None, self._snapshots.layers.settle, frozen.layer))
        image = machine.image.manifest
        manifest = self._manifest(
            spec,
            snapshot_id,
            image_id=image.content_id,
            image_sha256=image.sha256,
            qemu_version=machine.running.monitor.qemu_version,
            accelerator=image.accelerator,
            ram_base=machine.ram_base,
            names=frozen.after.layers,
            files={MEMORY: memory.result(), STATE: state.result()},
        )
        await threads.by(None, unfinished.publish, manifest)
        (machine.folder / frozen.before.overlay).unlink(missing_ok=True)

    def _manifest(
        self,
        spec: Spec,
        snapshot_id: UUID,
        *,
        image_id: str,
        image_sha256: str,
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
            image_sha256=image_sha256,
            qemu_version=qemu_version,
            accelerator=accelerator,
            vcpus=spec.vcpus,
            memory_mb=spec.memory_mb,
            disk_size_mb=spec.disk_size_mb,
            layers=names,
            files=files,
            ram_base=ram_base,
        )

    async def _undo(self, machine: QemuMachine, before: Chain) -> None:
        """After a failure the note says what QEMU does; a layer that the disk stands on by now stays one."""
        async with self._snapshots.naming:
            try:
                ahead = layers.read(machine.folder).layers
                await settle_chain(machine, before)
                if machine.running.overlay.name != before.overlay:
                    (machine.folder / before.overlay).unlink(missing_ok=True)
            except (MonitorError, OSError, ValueError) as error:
                # the note tells of the same disk either way; the next pause, snapshot or adoption looks again
                log.warning("chain_not_settled", folder=str(machine.folder), reason=repr(error))
                return
        await self._snapshots.let_go(ahead, machine.image.manifest.content_id)

    async def keep_paused(self, spec: Spec, machine_dir: Path, snapshot_id: UUID, stage: StageMark) -> None:
        """See `Driver.snapshot`, of a sandbox that is paused: its memory is linked, its overlay copied, without holes.

        Raises: AgentError IMAGE_MISMATCH, SNAPSHOT_FAILED (also for too many layers), DISK_FULL.
        """
        try:
            pause_dir, pause = await threads.by(None, saved.fitting, machine_dir)
        except (ManifestError, OSError, ValueError) as error:
            message = "What was saved of this sandbox is damaged, or not there."
            raise AgentError(Code.IMAGE_MISMATCH, message, detail=str(error)) from error
        unfinished: Unfinished | None = None
        try:
            unfinished = self._begin(snapshot_id)
            copy = await threads.by(threads.COPIES, _copy_paused, machine_dir, pause_dir, unfinished)
            stage("save")
            async with self._snapshots.naming:
                layer = await threads.by(None, self._name_copy, copy)
                manifest = self._manifest(
                    spec,
                    snapshot_id,
                    image_id=pause.image_id,
                    image_sha256=pause.image_sha256,
                    qemu_version=pause.qemu_version,
                    accelerator=pause.accelerator,
                    ram_base=pause.ram_base,
                    names=(layer, *layers.read(machine_dir).layers),
                    files=pause.files,
                )
                await threads.by(None, unfinished.publish, manifest)
            stage("sync")
            self._prover.sum_later(layer)
        except _FAILURES as error:
            if unfinished is not None:
                unfinished.withdraw()
            await asyncio.shield(self._snapshots.sweep())
            raise _failure(error, there=True) from error
        finally:
            if unfinished is not None:
                unfinished.close()

    def _name_copy(self, copy: Path) -> str:
        """What was copied and synced is a layer from here on, and lies nowhere else."""
        layer = self._snapshots.layers.link(copy)
        copy.unlink()
        self._snapshots.layers.settle(layer)
        return layer


def _copy_paused(machine_dir: Path, pause_dir: Path, unfinished: Unfinished) -> Path:
    """Fills the folder of a snapshot: links of the memory, and a synced copy of the overlay, which is returned. There
    nobody else removes it. May take long: nobody waits for it but who asked."""
    chain = layers.read(machine_dir)
    if len(chain.layers) >= LAYERS_MOST:
        message = f"The sandbox's disk lies in {LAYERS_MOST} layers: resume it, then they can be brought together."
        raise AgentError(Code.SNAPSHOT_FAILED, message)
    for name in (MEMORY, STATE):
        (unfinished.folder / name).unlink(missing_ok=True)
        (unfinished.folder / name).hardlink_to(pause_dir / name)
    copy = unfinished.folder / COPY
    copy_sparse(machine_dir / chain.overlay, copy)
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    return copy


@dataclass(frozen=True, slots=True)
class _Frozen:
    """A machine's chain before and after its overlay became a layer."""

    before: Chain
    after: Chain
    layer: str


def _failure(error: BaseException, *, there: bool) -> BaseException:
    if not there:
        return AgentError(Code.MACHINE_GONE, "The machine ended while it was being snapshotted.", detail=repr(error))
    if isinstance(error, asyncio.CancelledError):
        return error
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
        return AgentError(Code.DISK_FULL, "The host's disk is full.", detail=str(error))
    return AgentError(Code.SNAPSHOT_FAILED, "The sandbox could not be snapshotted: it goes on.", detail=repr(error))

"""Saving a machine: it stands still while QEMU writes device state and we write the pages that are its own."""

import asyncio
import contextlib
import os

from agent.drivers.driver import StageMark
from agent.drivers.qemu import disks, layers, ram, saved, threads
from agent.drivers.qemu.disks import DISK_FULL_ERRNOS
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.manifests import FileSum, PauseManifest
from agent.drivers.qemu.monitor import Monitor, MonitorError
from agent.drivers.qemu.overlays import make_sure
from agent.drivers.qemu.saved import MEMORY, STATE, Unfinished
from agent.drivers.qemu.tasks import together
from agent.errors import AgentError, Code
from agent.machine import Spec

END_NOTICED_SECONDS = 1.0


async def save(spec: Spec, machine: QemuMachine, qemu_version: str, timeout_seconds: float, stage: StageMark) -> None:
    """Stops the machine and publishes a pause of it; it stands still afterwards, for the caller to end. After a
    failure it runs on, if it is still there. Stages: `stop`, `save`, `sync`.

    Raises: AgentError PAUSE_FAILED, DISK_FULL, MACHINE_GONE.
    """
    machine.running.room.require()
    try:
        async with asyncio.timeout(timeout_seconds):
            # the pause is of the disk that the note names
            await make_sure(machine)
            await machine.stand_still()
            stage("stop")
            await _write(spec, machine, qemu_version, stage)
    except (MonitorError, OSError, LookupError, EOFError, ValueError, TimeoutError, asyncio.CancelledError) as error:
        if not await goes_on(machine):
            raise AgentError(
                Code.MACHINE_GONE, "The machine ended while it was being saved.", detail=repr(error)
            ) from error
        if isinstance(error, asyncio.CancelledError):
            raise
        if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
            raise AgentError(Code.DISK_FULL, "The host's disk is full.", detail=str(error)) from error
        raise AgentError(
            Code.PAUSE_FAILED, "The machine could not be saved: it runs on.", detail=repr(error)
        ) from error


async def _write(spec: Spec, machine: QemuMachine, qemu_version: str, stage: StageMark) -> None:
    image = machine.image.manifest
    unfinished = saved.unfinished_pause(machine.folder, machine.incarnation)
    try:
        # Three things at once: our pages, QEMU's device state, and the disk's way to the platter.
        with threads.own_thread() as thread:
            async with together() as tasks:
                memory = tasks.create_task(threads.by(thread, _save_memory, machine, unfinished))
                state = tasks.create_task(save_state(machine.running.monitor, unfinished))
                tasks.create_task(threads.by(None, _sync_disk, machine))
        stage("save")
        manifest = PauseManifest(
            sandbox_id=str(spec.sandbox_id),
            incarnation=str(machine.incarnation),
            image_id=image.content_id,
            qemu_version=qemu_version,
            accelerator=image.accelerator,
            dirty_bytes=memory.result().size_bytes,
            disk_stamp=disks.stamp(machine.running.overlay),
            files={MEMORY: memory.result(), STATE: state.result()},
            ram_base=machine.ram_base,
            image_sha256=image.sha256,
            overlay=machine.running.overlay.name,
            layers=layers.read(machine.folder).layers,
        )
        await threads.by(None, unfinished.publish, manifest)
        await threads.by(None, saved.discard_older, machine.folder, machine.incarnation)
        stage("sync")
    except BaseException:
        # Also when it was published already, and the folder could not be synced then.
        unfinished.withdraw()
        raise
    finally:
        unfinished.close()


def _save_memory(machine: QemuMachine, unfinished: Unfinished) -> FileSum:
    mapped = ram.mapped_ram(machine.process.pid, machine.image.manifest.ram_bytes)
    return unfinished.save_memory(mapped, saved.own_pages(mapped, machine.ram_base, machine.inherited))


async def save_state(monitor: Monitor, unfinished: Unfinished) -> FileSum:
    """Has QEMU write its device state, and syncs that. Raises: MonitorError, OSError."""
    await write_state(monitor, unfinished)
    return await threads.by(None, unfinished.finish_state)


async def write_state(monitor: Monitor, unfinished: Unfinished) -> None:
    """Has QEMU write its device state. Raises: MonitorError."""
    number = await monitor.send_descriptor(unfinished.state_fd)
    try:
        await monitor.run("xen-save-devices-state", filename=f"/dev/fdset/{number}", live=False)
    finally:
        await monitor.forget_descriptor(number)


def _sync_disk(machine: QemuMachine) -> None:
    """QEMU wrote all of it to the file when it stopped."""
    fd = os.open(machine.running.overlay, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


async def goes_on(machine: QemuMachine) -> bool:
    """After a failure: as if nothing had been asked. Answers whether the machine is still there."""
    try:
        await machine.go_on()
    except MonitorError:
        # Its connection ends a moment before the process does.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_NOTICED_SECONDS):
                await machine.running.process.ended()
    machine.release()
    return machine.running.process.running

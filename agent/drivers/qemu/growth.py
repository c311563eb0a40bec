"""Making a disk larger while its machine runs: the guest is told of the size, then its file system takes it up."""

import asyncio

from agent.drivers.qemu.arguments import GUEST_DISK
from agent.drivers.qemu.disks import bound
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.monitor import MonitorError
from agent.errors import AgentError, Code


async def grow(machine: QemuMachine, disk_size_mb: int, known_mb: int, deadline_seconds: float) -> None:
    """Gives a running guest all of its overlay, which has `disk_size_mb` already (`disks.make_overlay`). `known_mb` is
    what the guest takes its disk for, or less: nothing is done if that is as much. May be repeated, at little cost.

    Raises: AgentError START_FAILED; the machine runs on, with the disk that it had. So it does if it was started for a
    smaller disk, as those in the pool are, and its limit on files cannot be raised (`Jail.raises_limits`).
    """
    if disk_size_mb <= known_mb:
        return
    size_bytes = disk_size_mb << 20
    try:
        async with asyncio.timeout(deadline_seconds):
            node = await top_node(machine)
            # Nothing to do for a machine that was started for this size.
            bound(machine.process.pid, disk_size_mb)
            # A guest from a memory image hears of its disk's size from nobody else, even if the overlay has it already.
            await machine.running.monitor.run("block_resize", node_name=node, size=size_bytes)
            await (await machine.link(deadline_seconds)).resize(size_bytes, deadline_seconds)
    except (MonitorError, AgentError, OSError) as error:
        detail = error.message if isinstance(error, AgentError) else repr(error)
        raise AgentError(Code.START_FAILED, "The sandbox's disk could not be made larger.", detail=detail) from error


async def top_node(machine: QemuMachine) -> str:
    """The part of the chain that is written to: another one after each snapshot of the disk. Raises: MonitorError."""
    for device in await machine.running.monitor.run("query-block"):
        if GUEST_DISK in str(device.get("qdev", "")).split("/"):
            return str(device["inserted"]["node-name"])
    raise MonitorError("query-block: no disk")

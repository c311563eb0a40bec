"""Bringing layers together: QEMU copies what lies in the layers of a machine into its overlay, while the guest
goes on; afterwards the overlay stands on its image alone.

It shows then what it showed before, so the machine's note (`layers.py`) tells of the same disk whether it names the
layers or not: it is written when QEMU is done, and layers go after that. Wherever an agent is killed, the next one ends
what QEMU still does and goes on with the note that there is.
"""

import asyncio
import contextlib

import structlog

from agent.drivers.qemu import layers
from agent.drivers.qemu.arguments import DISK_NODE, IMAGE_NODE
from agent.drivers.qemu.growth import top_node
from agent.drivers.qemu.layers import OVERLAY_PREFIX, Chain
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.monitor import Monitor, MonitorError

_JOB = "layers"
_END_SECONDS, _LOOK_SECONDS = 10.0, 0.02
_OVER = frozenset({"concluded", "null"})
log = structlog.get_logger()


async def bring_together(machine: QemuMachine, timeout_seconds: float) -> None:
    """Returns when the machine's note names no layers any more; they are not removed. ~2 ms for each MB in them.

    Raises: MonitorError, OSError, ValueError, TimeoutError; the disk is what it was then, in as many layers.
    """
    monitor, chain = machine.running.monitor, layers.read(machine.folder)
    node = await top_node(machine)
    over = monitor.event("BLOCK_JOB_COMPLETED")
    try:
        async with asyncio.timeout(timeout_seconds):
            await monitor.run("block-stream", job_id=_JOB, device=node, base_node=IMAGE_NODE, auto_dismiss=False)
            await over
        [error] = [job.get("error") for job in await monitor.run("query-jobs") if job["id"] == _JOB]
        if error is not None:
            raise MonitorError(f"block-stream: {error}")
        layers.write(machine.folder, Chain(chain.overlay))
    finally:
        over.cancel()
        await end(monitor)
    await _close_former(monitor, node)
    log.info("layers_brought_together", folder=machine.folder.name, layers=len(chain.layers))


async def end(monitor: Monitor) -> None:
    """Has QEMU stop bringing layers together, if it does. What it has copied stays and is right.

    Raises: MonitorError, TimeoutError.
    """
    async with asyncio.timeout(_END_SECONDS):
        while job := next((job for job in await monitor.run("query-jobs") if job["id"] == _JOB), None):
            # it may end by itself meanwhile
            with contextlib.suppress(MonitorError):
                await monitor.run("job-dismiss" if job["status"] in _OVER else "job-cancel", id=_JOB)
            await asyncio.sleep(0 if job["status"] in _OVER else _LOOK_SECONDS)


async def _close_former(monitor: Monitor, top: str) -> None:
    """Lets QEMU close overlays that became layers: it keeps those that it was told of while it ran, used or not."""
    for described in await monitor.run("query-named-block-nodes", flat=True):
        name = str(described["node-name"])
        if name != top and (name == DISK_NODE or name.startswith(OVERLAY_PREFIX)):
            with contextlib.suppress(MonitorError):
                await monitor.run("blockdev-del", node_name=name)

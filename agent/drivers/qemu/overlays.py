"""Another overlay for a machine while it runs, by descriptor: its jail has no way to a file that is made later."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from agent.drivers.qemu import layers
from agent.drivers.qemu.arguments import DISK_NODE
from agent.drivers.qemu.growth import top_node
from agent.drivers.qemu.layers import Chain
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.monitor import Monitor


@contextlib.asynccontextmanager
async def offered(monitor: Monitor, path: Path) -> AsyncIterator[int]:
    """A file that QEMU can open, by the number of its set; what it has opened it keeps.

    Raises: MonitorError, OSError.
    """
    with _opened(path) as (to_write, to_read):
        number = await monitor.send_descriptor(to_write)
        try:
            await monitor.send_descriptor(to_read, number)
            yield number
        finally:
            await monitor.forget_descriptor(number)


async def put_above(monitor: Monitor, node: str, name: str, number: int) -> None:
    """Has QEMU write to the empty overlay in a set of descriptors, above `node`, from now on. The guest stands still.

    Raises: MonitorError; the guest writes to what it wrote to.
    """
    await monitor.run("blockdev-add", **_node(name, number))
    await monitor.run("blockdev-snapshot", node=node, overlay=name)


async def make_sure(machine: QemuMachine) -> None:
    """As `settle_chain`, if the note may say anything else. Raises: as that."""
    if not machine.chain_settled:
        await settle_chain(machine)


async def settle_chain(machine: QemuMachine, before: Chain | None = None) -> None:
    """Makes a machine's note say what its QEMU writes to. `before` is the chain that it had when a snapshot began, if
    that is known.

    Raises: MonitorError, OSError, ValueError.
    """
    noted = layers.read(machine.folder)
    node = await top_node(machine)
    written = machine.running.overlay.name if node == DISK_NODE else f"{node}{layers.SUFFIX}"
    if written != noted.overlay:
        # the note is at most one snapshot ahead of its QEMU, which then still writes to what became the topmost layer
        expected = Chain(written, noted.layers[1:])
        if before not in (None, expected) or not (machine.folder / written).exists():
            raise ValueError(f"{machine.folder}: QEMU writes to {written}, the note says {noted}")
        layers.write(machine.folder, expected)
        (machine.folder / noted.overlay).unlink(missing_ok=True)
    machine.running.overlay = machine.folder / written
    machine.chain_settled = True


def _node(name: str, number: int) -> dict[str, object]:
    """An overlay as QEMU is told of it; the same as `arguments._blockdev` says of the first."""
    cache = {"direct": False, "no-flush": True}
    return {
        "driver": "qcow2",
        "node-name": name,
        "discard": "unmap",
        "cache": cache,
        "backing": None,
        "file": {"driver": "file", "filename": f"/dev/fdset/{number}", "discard": "unmap", "cache": cache},
    }


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    """To write, and to read: QEMU opens what lies below an overlay once more, only to read."""
    to_write = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        to_read = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield to_write, to_read
        finally:
            os.close(to_read)
    finally:
        os.close(to_write)

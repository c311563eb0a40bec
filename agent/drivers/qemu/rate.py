"""How fast a guest may use its disk: QEMU's own limit, which needs no privilege and no file system that knows of it.

It is on what the guest asks of its device. So it stays when a snapshot puts an overlay below that or a disk grows, and
what QEMU copies by itself to bring layers together does not count. Discards do not either: they only free room.
"""

from dataclasses import dataclass

from agent.drivers.qemu.arguments import GUEST_DISK
from agent.drivers.qemu.monitor import Monitor

BURST_SECONDS = 10
"""As much as may be done in so long may be done at once, after as long a rest: packages are unpacked and file systems
made larger (16,000 operations for one of 1 TiB) without noticing."""


@dataclass(frozen=True, slots=True)
class DiskRate:
    """Reading and writing together; 0 is no limit. Unless told otherwise, what the large clouds give a usual volume."""

    bytes_per_second: int = 125 << 20
    operations_per_second: int = 3000

    async def hold(self, monitor: Monitor) -> None:
        """From now on it holds, whatever held before. It is no part of a machine's state: each QEMU is told, before its
        guest can use the disk. ~1 ms. Raises: MonitorError."""
        limits = {"bps": self.bytes_per_second, "iops": self.operations_per_second}
        each_way = dict.fromkeys(("bps_rd", "bps_wr", "iops_rd", "iops_wr"), 0)
        bursts = {f"{name}_max": rate * BURST_SECONDS for name, rate in limits.items() if rate}
        await monitor.run_with("block_set_io_throttle", {"id": GUEST_DISK, **limits, **each_way, **bursts})

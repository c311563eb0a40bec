"""What this computer has: read from the kernel, never guessed."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Computer:
    """Processors that this process may use, and MiB of memory and of the data directory's disk."""

    cpu_count: int
    memory_total_mb: int
    memory_free_mb: int
    disk_total_mb: int
    disk_free_mb: int


def read_computer(data_dir: Path) -> Computer:
    """As it is now. Takes microseconds."""
    memory = _meminfo()
    disk = shutil.disk_usage(data_dir)
    return Computer(
        cpu_count=len(os.sched_getaffinity(0)),
        memory_total_mb=memory["MemTotal"] // 1024,
        memory_free_mb=memory["MemAvailable"] // 1024,
        disk_total_mb=disk.total // _MIB,
        disk_free_mb=disk.free // _MIB,
    )


def memory_available_mb() -> int:
    """What programs can still take without anything being swapped out, as the kernel sees it."""
    return _meminfo()["MemAvailable"] // 1024


def boot_id() -> str:
    """New at every start of the computer."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def host_id(data_dir: Path) -> UUID:
    """The id of this host: made with its data directory, and the same for as long as that lives."""
    path = data_dir / "host-id"
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{uuid4()}\n")
        fresh.rename(path)
    return UUID(path.read_text().strip())


def _meminfo() -> dict[str, int]:
    """`/proc/meminfo` in KiB."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines}

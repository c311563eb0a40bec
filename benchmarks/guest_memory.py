"""The RAM of a guest, as the process that maps it sees it."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

PAGE_BYTES = 4096

Pages = npt.NDArray[np.int64]
"""Numbers of pages, in order."""

_PRESENT_OR_SWAPPED = np.uint64(0b11 << 62)
_FILE_OR_SHARED = np.uint64(1 << 61)


def ram_address(pid: int, memory_bytes: int) -> int:
    """Where a QEMU maps the guest's RAM: the one mapping of just this size that has a file behind it.

    Raises: LookupError.
    """
    for low, high, path in _mappings(Path(f"/proc/{pid}/maps").read_text()):
        if high - low == memory_bytes and path:
            return low
    raise LookupError(f"process {pid} maps no file of {memory_bytes} bytes")


def dirty_pages(pid: int, memory_bytes: int) -> Pages:
    """The numbers of the pages of RAM that are this process's own: written since the template was mapped."""
    with Path(f"/proc/{pid}/pagemap").open("rb") as file:
        file.seek(ram_address(pid, memory_bytes) // PAGE_BYTES * 8)
        entries = np.frombuffer(file.read(memory_bytes // PAGE_BYTES * 8), dtype=np.uint64)
    is_own = ((entries & _PRESENT_OR_SWAPPED) != 0) & ((entries & _FILE_OR_SHARED) == 0)
    return np.flatnonzero(is_own)


def dirty_bytes(pid: int, memory_bytes: int) -> int:
    """How much of its RAM a guest has written."""
    return len(dirty_pages(pid, memory_bytes)) * PAGE_BYTES


def _mappings(maps: str) -> Iterator[tuple[int, int, str]]:
    for line in maps.splitlines():
        match = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+\s*(.*)", line)
        if match:
            yield int(match[1], 16), int(match[2], 16), match[3]

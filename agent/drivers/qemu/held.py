"""A machine's own pages, read while it stands still and written when it has gone on.

The agent holds them in memory meanwhile, up to a share of what the host has to spare; what is beyond that goes to the
beginning of the file that it belongs in. Nothing is summed or synced before the machine goes on, and what is held is
not looked through either.
"""

import mmap
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from agent.computer import memory_available_mb
from agent.drivers.qemu import ram
from agent.drivers.qemu.manifests import FileSum
from agent.drivers.qemu.ram import CHUNK_BYTES, PAGE, Base, MappedRam, Runs, bytes_of
from agent.drivers.qemu.saved import Unfinished

SHARE = 4
"""Of the memory that is available one machine's pages take at most this part, 1/4, for as long as they are written:
machines that stand still at once each take that of what the others leave."""
SPARE_BYTES = 8 << 20
"""What a guest may write between the look at its pages and its stop, beside an eighth of what it has written."""
_taking = threading.Lock()
"""Held from the look at what is available until it is taken, or several would take the same."""
READERS_MAX = 4
READER_BYTES_MIN = 8 << 20
"""Less is read in 2 ms, which is not worth another thread."""


@dataclass(frozen=True, slots=True)
class OwnPages:
    """Pages of a machine: what they hold, one after the other, but for the first of them, which were spilled: so many
    bytes of the file (`Unfinished.spill_memory`), or none."""

    runs: Runs
    content: memoryview
    spilled_bytes: int


def bytes_max() -> int:
    """What may be held of one machine now."""
    return (memory_available_mb() << 20) // SHARE


def make_room(mapped: MappedRam, inherited: Runs) -> mmap.mmap:
    """Memory for what is the machine's own now and some more, up to `bytes_max`, taken from the kernel already: so that
    `read` need not, while the machine stands still. Blocks (~0.3 s a GiB). Raises: OSError."""
    size = bytes_of(ram.union(mapped.dirty(), inherited))
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    with _taking:
        size = max(min(size + size // 8 + SPARE_BYTES, bytes_max()), PAGE)
        return mmap.mmap(-1, size // PAGE * PAGE, flags)


def read(mapped: MappedRam, base: Base, inherited: Runs, room: mmap.mmap, unfinished: Unfinished) -> OwnPages:
    """The machine's own pages, which must stand still. Those that `room` has none for are written to the file, as far
    as the kernel takes them. Blocks. Raises: OSError, EOFError."""
    own = ram.union(mapped.dirty(), inherited)
    if base is Base.EMPTY and bytes_of(own) > len(room):
        own = mapped.without_zeros(own)  # as `write` does where all of them are held
    spilled, held = ram.parted(own, max(0, bytes_of(own) - len(room)) // PAGE)
    size = unfinished.spill_memory(own, mapped.chunks(spilled)) if len(spilled) else 0
    content = memoryview(room)[: bytes_of(held)]
    _read(mapped, held, content)
    return OwnPages(own, content, size)


def write(pages: OwnPages, base: Base, unfinished: Unfinished) -> FileSum:
    """Writes and syncs what was read, and sums all of it. Of a machine that began empty, pages of zeros are left out.
    Blocks. Raises: OSError."""
    runs, content = pages.runs, pages.content
    parts: Iterable[memoryview] = (
        content[begin : begin + CHUNK_BYTES] for begin in range(0, len(content), CHUNK_BYTES)
    )
    if base is Base.EMPTY and not pages.spilled_bytes:
        holds = np.frombuffer(content, np.uint64).reshape(-1, PAGE // 8).any(axis=1)
        runs, parts = ram.runs_of(ram.pages_of(runs)[holds]), _where(content, ram.runs_of(np.flatnonzero(holds)))
    return unfinished.write_memory(runs, parts, pages.spilled_bytes)


def _where(content: memoryview, runs: Runs) -> Iterator[memoryview]:
    for first, count in runs.tolist():
        yield content[first * PAGE : (first + count) * PAGE]


def _read(mapped: MappedRam, runs: Runs, into: memoryview) -> None:
    """By several threads, if that is worth it."""
    count = max(1, min(READERS_MAX, len(os.sched_getaffinity(0)), len(into) // READER_BYTES_MIN))
    share = -(-len(into) // PAGE // count)
    with ThreadPoolExecutor(count, "reading") as readers:
        reading = []
        for begin in range(0, len(into), share * PAGE) if share else ():
            part, runs = ram.parted(runs, share)
            reading.append(readers.submit(mapped.read, part, into[begin : begin + share * PAGE]))
        for each in reading:
            each.result()

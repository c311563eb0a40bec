"""Checksums of disks: of sparse files, of which only what they hold is read."""

import asyncio
import contextlib
import errno
import hashlib
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import numpy.typing as npt

from agent.drivers.qemu.manifests import FileSum, ManifestError
from agent.drivers.qemu.ram import PAGE, data_of, runs_of
from agent.drivers.qemu.tasks import Tasks

CHUNK_BYTES = 1 << 20
READ_AT_ONCE = 2  # files: one for somebody who waits, one that nobody waits for
KNOWN_MAX = 10_000  # files, ~300 bytes each: 3 MB. What was known longest is read again.
_RUN = struct.Struct("<QQ")

Identity = tuple[int, int, int, int]
"""Device, inode, time of the last change (ns) and size: whoever writes to a file changes it. A bit that flips by itself
does not: that is noticed when the file is read for the first time in the life of an agent."""


def sum_of(path: Path, stopped: Event | None = None) -> FileSum:
    """Of a sparse file: its size, and SHA-256 of its pages that hold anything and of where they are. It is the same
    whatever its holes. ~0.8 ms for each MiB that it holds; holes are not read. Blocks.

    Raises: OSError, with ECANCELED if it was stopped.
    """
    content, places = hashlib.sha256(), hashlib.sha256()
    first = end = 0  # of the run of pages that is being summed
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        for begin, pages in _chunks(fd, size):
            if stopped is not None and stopped.is_set():
                raise OSError(errno.ECANCELED, "not read to its end", str(path))
            for page, count in runs_of(np.flatnonzero(pages.any(axis=1))).tolist():
                content.update(pages[page : page + count].data)
                if begin + page != end:
                    places.update(_RUN.pack(first, end))
                    first = begin + page
                end = begin + page + count
    finally:
        os.close(fd)
    places.update(_RUN.pack(first, end))
    return FileSum(size, hashlib.sha256(content.digest() + places.digest()).hexdigest())


def _chunks(fd: int, size: int) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
    """The parts of a file that are no holes: the number of a page, and whole pages from there, which hold until the
    next ones are asked for. What the last one lacks is zeros."""
    buffer = np.empty((CHUNK_BYTES // PAGE, PAGE // 8), np.uint64)
    view = memoryview(buffer.data).cast("B")
    for start, end in data_of(fd, size):
        for offset in range(start, end, CHUNK_BYTES):
            wanted, done = min(CHUNK_BYTES, end - offset), 0
            while done < wanted:
                if (count := os.preadv(fd, [view[done:wanted]], offset + done)) == 0:
                    raise OSError(errno.EIO, "the file became shorter while it was read")
                done += count
            pages = -(-wanted // PAGE)
            view[wanted : pages * PAGE] = bytes(pages * PAGE - wanted)
            yield offset // PAGE, buffer[:pages]


class Sums:
    """The sums of files, each read once: again only if it is another file by then, or has changed."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        # Its own: whoever waits for a thread of the loop's shall not wait for whole disks.
        self._threads = ThreadPoolExecutor(READ_AT_ONCE, "sums")
        self._stopped = Event()
        self._known: dict[Identity, FileSum] = {}
        self._reading: dict[Identity, asyncio.Task[FileSum]] = {}

    def knows(self, path: Path) -> bool:
        """Whether it need not be read. Raises: OSError."""
        return _identity(path) in self._known

    async def of(self, path: Path) -> FileSum:
        """The sum of a file. Concurrent calls read it once. Once begun it is read to the end, whoever waits for it.

        Raises: OSError; ManifestError if somebody writes to it meanwhile.
        """
        identity = _identity(path)
        if (known := self._known.get(identity)) is not None:
            return known
        return await asyncio.shield(self._begun(path, identity))

    def begin(self, path: Path) -> None:
        """Reads it for somebody who will ask for it. What cannot be read is told to them."""
        with contextlib.suppress(OSError):
            if not self.knows(path):
                _ = self._begun(path, _identity(path))

    def _begun(self, path: Path, identity: Identity) -> asyncio.Task[FileSum]:
        reading = self._reading.get(identity)
        if reading is None:
            reading = self._reading[identity] = self._tasks.start(self._read(path, identity), f"sum of {path.name}")
            reading.add_done_callback(lambda _: self._reading.pop(identity))
        return reading

    async def _read(self, path: Path, identity: Identity) -> FileSum:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, sum_of, path, self._stopped)
        if _identity(path) != identity:
            raise ManifestError(f"{path} was written to while it was read")
        while len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[identity] = found
        return found

    def close(self) -> None:
        """Ends what is being read, after a chunk. Whoever waits for it gets OSError."""
        self._stopped.set()
        self._threads.shutdown(wait=False)


def _identity(path: Path) -> Identity:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size

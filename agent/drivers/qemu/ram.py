"""Guest RAM: files in memory, their stored form, and the pages that one machine changed."""

import ctypes
import fcntl
import hashlib
import itertools
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

PAGE = 4096
CHUNK_BYTES = 4 << 20
_PRESENT_OR_SWAPPED = np.uint64(3 << 62)
_OF_A_FILE = np.uint64(1 << 61)
# linux/falloc.h
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)
_fallocate, _sync_file_range = _libc.fallocate, _libc.sync_file_range
# linux/fs.h
_WRITE_BACK = 2
_process_vm_readv = _libc.process_vm_readv
_process_vm_readv.restype = ctypes.c_ssize_t
NAME = "guest-ram"
EMPTY = Path("/dev/zero")


class Base(StrEnum):
    """What a machine's RAM was before it wrote to it: its image's, or nothing but zeros (`boots.py`)."""

    IMAGE = "image"
    EMPTY = "empty"


Runs = npt.NDArray[np.uint32]
"""Two columns: first page and number of pages."""


def new_ram(size_bytes: int) -> int:
    """An unsealed memory file of zeros: the RAM of a template while it boots. The caller closes it."""
    fd = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size_bytes)
    return fd


def seal(fd: int) -> None:
    """From here on nobody can change its content or size. Raises: OSError EBUSY while it is mapped to be written."""
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)


def store(fd: int, path: Path) -> None:
    """Copies a memory file to a new, sparse file of the same size, without pages of zeros, and syncs it."""
    size = os.fstat(fd).st_size
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(out, size)
        for start, end in data_of(fd, size):
            for offset in range(start, end, CHUNK_BYTES):
                chunk = os.pread(fd, min(CHUNK_BYTES, end - offset), offset)
                pages = np.frombuffer(chunk, np.uint64).reshape(-1, PAGE // 8)
                for first, count in runs_of(np.flatnonzero(pages.any(axis=1))).tolist():
                    os.pwrite(out, chunk[first * PAGE : (first + count) * PAGE], offset + first * PAGE)
        os.fsync(out)
    finally:
        os.close(out)


def sum_of(path: Path) -> str:
    """SHA-256 of a stored file's pages that hold anything, with their places: the same whatever its holes. ~0.1 s for
    150 MB. Raises: OSError."""
    digest = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for start, end in data_of(fd, os.fstat(fd).st_size):
            for offset in range(start, end, CHUNK_BYTES):
                chunk = os.pread(fd, min(CHUNK_BYTES, end - offset), offset)
                pages = np.frombuffer(chunk, np.uint64).reshape(-1, PAGE // 8)
                for first, count in runs_of(np.flatnonzero(pages.any(axis=1))).tolist():
                    digest.update((offset + first * PAGE).to_bytes(8, "little"))
                    digest.update(chunk[first * PAGE : (first + count) * PAGE])
    finally:
        os.close(fd)
    return digest.hexdigest()


def merge(base: Path | None, runs: Runs, content: memoryview, size_bytes: int, path: Path) -> None:
    """A new, sparse file of that size: a stored RAM (None: zeros) with these pages put in. Of the pages of zeros among
    them nothing is stored. Reads and writes in chunks, and syncs. Raises: OSError."""
    out = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(out, size_bytes)
        if base is not None:
            _copy_data(base, out)
        offset = 0
        for first, count in runs.tolist():
            _put(out, first * PAGE, content[offset : offset + count * PAGE])
            offset += count * PAGE
        os.fsync(out)
    finally:
        os.close(out)


def _copy_data(source_path: Path, out: int) -> None:
    source = os.open(source_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for start, end in data_of(source, os.fstat(source).st_size):
            offset = start
            while offset < end:
                copied = os.copy_file_range(source, out, min(CHUNK_BYTES, end - offset), offset, offset)
                if copied == 0:
                    raise OSError("the stored RAM ended early")
                offset += copied
    finally:
        os.close(source)


def _put(out: int, offset: int, content: memoryview) -> None:
    """Pages that hold something are written; the others become holes."""
    for begin in range(0, len(content), CHUNK_BYTES):
        chunk = content[begin : begin + CHUNK_BYTES]
        holds = np.frombuffer(chunk, np.uint64).reshape(-1, PAGE // 8).any(axis=1)
        for first, count in runs_of(np.flatnonzero(holds)).tolist():
            os.pwrite(out, chunk[first * PAGE : (first + count) * PAGE], offset + begin + first * PAGE)
        for first, count in runs_of(np.flatnonzero(~holds)).tolist():
            _punch(out, offset + begin + first * PAGE, count * PAGE)


def _punch(fd: int, offset: int, size: int) -> None:
    """A hole, where the file system can; zeros elsewhere."""
    if _fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_long(offset), ctypes.c_long(size)) != 0:
        os.pwrite(fd, bytes(size), offset)


def write_back(fd: int, offset: int, size: int) -> None:
    """Has the kernel begin to write a part of a file to the disk, for what an fsync will find done. Failures are that
    one's to tell."""
    _sync_file_range(fd, ctypes.c_long(offset), ctypes.c_long(size), _WRITE_BACK)


def load_sealed(path: Path) -> int:
    """A sealed memory file with the content of a stored one. The caller closes it. Raises: OSError."""
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(source).st_size
        fd = new_ram(size)
        try:
            for start, end in data_of(source, size):
                os.lseek(fd, start, os.SEEK_SET)
                offset = start
                while offset < end:
                    offset += os.sendfile(fd, source, offset, end - offset)
            seal(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd
    finally:
        os.close(source)


def data_of(fd: int, size: int) -> list[tuple[int, int]]:
    """The parts of a sparse file that are no holes, widened to whole pages."""
    parts = []
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # ENXIO: a hole up to the end
            break
        end = os.lseek(fd, start, os.SEEK_HOLE)
        start, end = start // PAGE * PAGE, min(-(-end // PAGE) * PAGE, size)
        parts.append((start, end))
    return parts


def runs_of(pages: npt.NDArray[np.intp]) -> Runs:
    """Page numbers, ascending, as runs of neighbours."""
    if pages.size == 0:
        return np.zeros((0, 2), np.uint32)
    breaks = np.flatnonzero(np.diff(pages) != 1) + 1
    firsts = np.concatenate(([0], breaks))
    counts = np.diff(np.concatenate((firsts, [pages.size])))
    return np.stack((pages[firsts], counts), axis=1).astype(np.uint32)


def bytes_of(runs: Runs) -> int:
    """What those pages hold."""
    return int(runs[:, 1].sum()) * PAGE


def union(one: Runs, other: Runs) -> Runs:
    """The pages that are in either."""
    if not len(one) or not len(other):
        return one if len(one) else other
    return runs_of(np.union1d(pages_of(one), pages_of(other)))


def pages_of(runs: Runs) -> npt.NDArray[np.intp]:
    """Their numbers, ascending."""
    firsts, counts = runs[:, 0].astype(np.intp), runs[:, 1].astype(np.intp)
    begins = np.repeat(firsts - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
    return begins + np.arange(int(counts.sum()))


def parted(runs: Runs, count: int) -> tuple[Runs, Runs]:
    """The first so many pages, and the rest."""
    ends = np.cumsum(runs[:, 1], dtype=np.intp)
    whole = int(np.searchsorted(ends, count, "right"))
    first, rest = runs[:whole], runs[whole:].copy()
    taken = count - int(ends[whole - 1] if whole else 0)
    if len(rest) and taken:
        page, left = rest[0].tolist()
        first = np.concatenate((first, np.array([[page, taken]], np.uint32)))
        rest[0] = page + taken, left - taken
    return first, rest


def write_runs(path: Path, runs: Runs) -> None:
    """Keeps page numbers in a file. Raises: OSError."""
    path.write_bytes(np.ascontiguousarray(runs, np.uint32).tobytes())


def read_runs(path: Path) -> Runs:
    """What `write_runs` kept; nothing if there is no such file. Raises: OSError, ValueError."""
    try:
        return np.frombuffer(path.read_bytes(), np.uint32).reshape(-1, 2)
    except FileNotFoundError:
        return np.zeros((0, 2), np.uint32)


def merged(base: int | None, runs: Runs, content: memoryview, size_bytes: int) -> int:
    """A sealed memory file: what `base` holds (None: zeros) with these pages put in. The caller closes it. ~60 ms for
    150 MB. Raises: OSError."""
    fd = new_ram(size_bytes)
    try:
        if base is not None:
            for start, end in data_of(base, size_bytes):
                os.lseek(fd, start, os.SEEK_SET)
                offset = start
                while offset < end:
                    offset += os.sendfile(fd, base, offset, end - offset)
        offset = 0
        for first, count in runs.tolist():
            size = count * PAGE
            done = 0
            while done < size:
                done += os.pwrite(fd, content[offset + done : offset + size], first * PAGE + done)
            offset += size
        seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


@dataclass(frozen=True, slots=True)
class MappedRam:
    """Guest RAM as one QEMU maps it."""

    pid: int
    address: int
    size_bytes: int

    def dirty(self) -> Runs:
        """The pages that are this machine's own, no longer the image's; ~1 ms per GiB of RAM."""
        entries = np.empty(self.size_bytes // PAGE, np.uint64)
        with Path(f"/proc/{self.pid}/pagemap").open("rb", buffering=0) as file:
            file.seek(self.address // PAGE * 8)
            _read_exactly(file.fileno(), memoryview(entries.data).cast("B"))
        private = (entries & _PRESENT_OR_SWAPPED != 0) & (entries & _OF_A_FILE == 0)
        return runs_of(np.flatnonzero(private))

    def without_zeros(self, runs: Runs) -> Runs:
        """Of these pages those that hold anything. The machine must stand still."""
        found = [np.zeros(0, np.intp)]
        with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as file:
            buffer = np.empty((CHUNK_BYTES // PAGE, PAGE // 8), np.uint64)
            view = memoryview(buffer.data).cast("B")
            for first, count in runs.tolist():
                for page in range(first, first + count, len(buffer)):
                    here = min(len(buffer), first + count - page)
                    file.seek(self.address + page * PAGE)
                    _read_exactly(file.fileno(), view[: here * PAGE])
                    found.append(np.flatnonzero(buffer[:here].any(axis=1)) + page)
        return runs_of(np.concatenate(found))

    def read(self, runs: Runs, into: memoryview) -> None:
        """The content of those pages, one after the other. The machine must stand still. Raises: OSError, EOFError."""
        offset = 0
        for pieces in _in_chunks(runs):
            offset += self._read(pieces, into[offset:])

    def chunks(self, runs: Runs) -> Iterator[memoryview]:
        """The same, a few MiB at a time: each holds until the one after the next is asked for. The machine must stand
        still. Raises: OSError, EOFError."""
        with memoryview(mmap.mmap(-1, CHUNK_BYTES)) as view, memoryview(mmap.mmap(-1, CHUNK_BYTES)) as other:
            turns = itertools.cycle((view, other))
            for pieces, turn in zip(_in_chunks(runs), turns, strict=False):
                yield turn[: self._read(pieces, turn)]

    def _read(self, pieces: npt.NDArray[np.uint64], into: memoryview) -> int:
        """In one call, however scattered they are: 20 ms for 100 MiB of single pages, 100 ms by `/proc/PID/mem`."""
        there = pieces * np.uint64(PAGE)
        there[:, 0] += np.uint64(self.address)
        size = int(there[:, 1].sum())
        here = np.array([np.frombuffer(into, np.uint8).ctypes.data, size], np.uint64)
        done = _process_vm_readv(self.pid, here.ctypes, 1, there.ctypes, len(pieces), 0)
        if done < 0:
            raise OSError(ctypes.get_errno(), "guest RAM cannot be read")
        if done < size:
            raise EOFError("memory ended early")
        return size

    def write(self, runs: Runs, content: memoryview) -> None:
        """Puts saved pages in. The machine must not have run yet."""
        fd = os.open(f"/proc/{self.pid}/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            offset = 0
            for first, count in runs.tolist():
                size = count * PAGE
                if os.pwrite(fd, content[offset : offset + size], self.address + first * PAGE) != size:
                    raise OSError("short write to guest RAM")
                offset += size
        finally:
            os.close(fd)


def _in_chunks(runs: Runs) -> Iterator[npt.NDArray[np.uint64]]:
    """Runs, cut into parts of `CHUNK_BYTES`: so no more than the 1,024 pieces that one call may have. Without a loop
    over pieces: a machine stands still meanwhile, and may have 100,000 of them."""
    ends = np.cumsum(runs[:, 1], dtype=np.intp)
    if not len(ends):
        return
    begins = ends - runs[:, 1]
    cuts = np.arange(CHUNK_BYTES // PAGE, int(ends[-1]), CHUNK_BYTES // PAGE)
    places = np.union1d(begins, cuts)
    owners = np.searchsorted(ends, places, "right")
    firsts = runs[owners, 0] + (places - begins[owners])
    pieces = np.stack((firsts, np.diff(places, append=ends[-1])), axis=1).astype(np.uint64)
    yield from np.split(pieces, np.searchsorted(places, cuts))


def mapped_ram(pid: int, size_bytes: int) -> MappedRam:
    """Where a QEMU maps its guest's RAM, which is an image's or began empty. A hostile QEMU can mislead this: to other
    memory of its own, no further.

    Raises: LookupError, OSError.
    """
    with Path(f"/proc/{pid}/maps").open() as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].startswith((f"/memfd:{NAME} ", str(EMPTY))):
                low, high = (int(word, 16) for word in fields[0].split("-"))
                if high - low == size_bytes:
                    return MappedRam(pid, low, size_bytes)
    raise LookupError(f"process {pid} does not map guest RAM")


def _read_exactly(fd: int, view: memoryview) -> None:
    done = 0
    while done < len(view):
        count = os.readv(fd, [view[done:]])
        if count == 0:
            raise EOFError("memory ended early")
        done += count

"""Guest RAM as files: stored, sealed, and in runs of pages."""

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from agent.drivers.qemu import ram

SIZE = 8 << 20


def test_stored_ram_is_sparse_and_comes_back_sealed(tmp_path: Path) -> None:
    fd = ram.new_ram(SIZE)
    for offset, content in [(0, b"first"), (3 * ram.PAGE + 7, b"middle"), (SIZE - 4, b"last"), (1 << 20, bytes(9))]:
        os.pwrite(fd, content, offset)
    ram.store(fd, tmp_path / "ram")
    assert (tmp_path / "ram").stat().st_blocks * 512 <= 4 * ram.PAGE
    loaded = ram.load_sealed(tmp_path / "ram")
    assert os.pread(loaded, SIZE, 0) == os.pread(fd, SIZE, 0)
    for change in (lambda: os.pwrite(loaded, b"x", 0), lambda: os.ftruncate(loaded, 0)):
        with pytest.raises(PermissionError):
            change()
    os.close(fd)
    os.close(loaded)


@pytest.mark.parametrize(
    ("pages", "runs"),
    [
        ([], []),
        ([5], [[5, 1]]),
        ([0, 1, 2, 7, 9, 10], [[0, 3], [7, 1], [9, 2]]),
    ],
)
def test_neighbouring_pages_are_one_run(pages: list[int], runs: list[list[int]]) -> None:
    assert ram.runs_of(np.array(pages, np.intp)).tolist() == runs


def test_pages_are_read_whole_or_in_chunks() -> None:
    pages = 3 * ram.CHUNK_BYTES // ram.PAGE
    content = mmap.mmap(-1, pages * ram.PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    content.write(os.urandom(len(content)))
    mapped = ram.MappedRam(os.getpid(), np.frombuffer(content, np.uint8).ctypes.data, len(content))
    own = [page for page in range(pages) if page % 7 and page > 100]
    runs = ram.runs_of(np.array(own, np.intp))
    expected = b"".join(content[page * ram.PAGE : (page + 1) * ram.PAGE] for page in own)
    read = bytearray(len(expected))
    mapped.read(runs, memoryview(read))
    assert read == expected
    # a chunk is filled again for the next one
    chunks = [bytes(chunk) for chunk in mapped.chunks(runs)]
    assert b"".join(chunks) == expected
    assert {len(chunk) for chunk in chunks[:-1]} == {ram.CHUNK_BYTES}
    assert list(mapped.chunks(ram.runs_of(np.array([], np.intp)))) == []
    for count in (0, 1, 3, 500, len(own) - 1, len(own)):
        first, rest = ram.parted(runs, count)
        assert [*ram.pages_of(first), *ram.pages_of(rest)] == own
        assert len(ram.pages_of(first)) == count

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.guest_memory import PAGE_BYTES, dirty_bytes, dirty_pages, ram_address

PAGES = 1031  # a size that nothing else in this process has


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[mmap.mmap]:
    path = tmp_path / "ram"
    path.write_bytes(bytes(PAGES * PAGE_BYTES))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as memory:
        yield memory


def test_only_pages_that_were_written_are_dirty(ram: mmap.mmap) -> None:
    for page in (3, 700, 3):
        ram[page * PAGE_BYTES] = 1
    assert ram[5 * PAGE_BYTES] == 0  # reading makes nothing dirty

    assert dirty_pages(os.getpid(), PAGES * PAGE_BYTES).tolist() == [3, 700]
    assert dirty_bytes(os.getpid(), PAGES * PAGE_BYTES) == 2 * PAGE_BYTES


def test_ram_of_another_size_is_not_found(ram: mmap.mmap) -> None:
    with pytest.raises(LookupError):
        ram_address(os.getpid(), (PAGES + 1) * PAGE_BYTES)

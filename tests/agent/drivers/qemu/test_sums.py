"""Checksums of sparse files: of what they hold and where, not of how they are stored, and no more often than needed."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.drivers.qemu import sums
from agent.drivers.qemu.manifests import FileSum, ManifestError
from agent.drivers.qemu.sums import Sums, sum_of
from agent.drivers.qemu.tasks import Tasks

PAGE = 4096
SIZE = 3 * sums.CHUNK_BYTES


@pytest_asyncio.fixture
async def known() -> AsyncIterator[Sums]:
    tasks = Tasks()
    made = Sums(tasks)
    yield made
    made.close()
    await tasks.close()


def sparse(path: Path, size: int, *parts: tuple[int, bytes]) -> Path:
    """A file of holes but for those parts."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, content in parts:
            file.seek(offset)
            file.write(content)
    return path


def test_it_is_the_same_whatever_the_holes(tmp_path: Path) -> None:
    noise = os.urandom(sums.CHUNK_BYTES)
    # across the border of two parts that are read, and beginning in the middle of a page
    parts = ((PAGE, noise[:PAGE]), (sums.CHUNK_BYTES - 100, noise), (SIZE - 10, b"end"))
    holes = sparse(tmp_path / "holes", SIZE, *parts)
    full = tmp_path / "full"
    full.write_bytes(holes.read_bytes())
    assert holes.stat().st_blocks < full.stat().st_blocks
    assert sum_of(holes) == sum_of(full)
    some = sparse(
        tmp_path / "some", SIZE, (0, bytes(10 * PAGE)), *parts, (2 * sums.CHUNK_BYTES + 3 * PAGE, bytes(PAGE))
    )
    assert sum_of(some) == sum_of(full)


def test_each_bit_its_place_and_the_size_count(tmp_path: Path) -> None:
    noise = os.urandom(PAGE)
    seen = [
        sum_of(sparse(tmp_path / "file", size, *parts))
        for size, *parts in (
            (SIZE,),
            (SIZE + 1,),
            (SIZE, (0, noise)),
            (SIZE, (PAGE, noise)),
            (SIZE, (0, noise + noise)),
            (SIZE, (0, noise), (2 * PAGE, noise)),
            (SIZE, (0, bytes([noise[0] ^ 1]) + noise[1:])),
            (SIZE - 1, (SIZE - 2, b"\1")),
            (SIZE - 1, (SIZE - 3, b"\1")),
        )
    ]
    assert len({one.sha256 for one in seen}) == len(seen) - 1  # the first two differ in their size alone
    assert len(set(seen)) == len(seen)


def test_holes_are_not_read(tmp_path: Path) -> None:
    # 8 TiB of them: it would take an hour
    assert sum_of(sparse(tmp_path / "file", 8 << 40, (4 << 40, b"here"))).size_bytes == 8 << 40


async def test_a_file_is_read_once_under_whatever_name_until_it_changes(
    tmp_path: Path, known: Sums, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path, *_: object) -> FileSum:
        read.append(path.name)
        return sum_of(path)

    monkeypatch.setattr(sums, "sum_of", counted)
    file = sparse(tmp_path / "file", SIZE, (0, b"content"))
    assert not known.knows(file)
    found = await asyncio.gather(*(known.of(file) for _ in range(5)))
    assert set(found) == {sum_of(file)}
    assert known.knows(file)
    file = file.rename(tmp_path / "renamed")
    (tmp_path / "link").hardlink_to(file)
    file.chmod(0o444)
    assert await known.of(tmp_path / "link") == await known.of(file) == found[0]
    assert read == ["file"]
    with file.open("r+b") as opened:
        opened.write(b"c0ntent")
    assert await known.of(file) not in found
    assert read == ["file", "renamed"]
    with pytest.raises(FileNotFoundError):
        await known.of(tmp_path / "nothing")


async def test_a_file_that_is_written_to_meanwhile_has_no_sum(
    tmp_path: Path, known: Sums, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturbed(path: Path, *_: object) -> FileSum:
        found = sum_of(path)
        path.write_bytes(b"another")
        return found

    file = sparse(tmp_path / "file", SIZE)
    with monkeypatch.context() as patched:
        patched.setattr(sums, "sum_of", disturbed)
        with pytest.raises(ManifestError):
            await known.of(file)
    assert (await known.of(file)).size_bytes == len(b"another")


async def test_what_is_known_is_bounded(tmp_path: Path, known: Sums, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "KNOWN_MAX", 2)
    files = [sparse(tmp_path / str(number), SIZE) for number in range(3)]
    for file in files:
        await known.of(file)
    assert [known.knows(file) for file in files] == [False, True, True]


async def test_reading_ends_when_it_is_closed(tmp_path: Path, known: Sums) -> None:
    file = sparse(tmp_path / "file", SIZE, (0, b"content"))
    known.begin(tmp_path / "nothing")
    known._stopped.set()
    with pytest.raises(OSError, match="not read to its end"):
        await known.of(file)

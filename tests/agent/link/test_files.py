import asyncio
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.errors import AgentError, Code
from agent.guest import wire
from agent.link.link import GuestLink
from tests.agent.running_guest import RunningGuest, pieces
from tests.waiting import eventually


async def read(link: GuestLink, path: Path | str, **more: int) -> bytes:
    reader = await link.read_file(str(path), **more)
    return b"".join([piece async for piece in reader.content])


async def test_a_file_is_read_as_it_was_written(link: GuestLink, tmp_path: Path) -> None:
    data, path = os.urandom(3_000_000), tmp_path / "a/b/c"
    assert await link.write_file(str(path), 0, pieces(data[:1], data[1:2_000_000], b"", data[2_000_000:])) == len(data)
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    reader = await link.read_file(str(path))
    assert (reader.info.size_bytes, reader.info.mode) == (len(data), 0o644)
    assert reader.info.modified_ns == path.stat().st_mtime_ns
    got = [piece async for piece in reader.content]
    assert b"".join(got) == data
    assert max(map(len, got)) <= 32 * 1024


async def test_an_empty_file_is_a_file(link: GuestLink, tmp_path: Path) -> None:
    assert await link.write_file(str(tmp_path / "empty"), 0o600, pieces()) == 0
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o600
    assert await read(link, tmp_path / "empty") == b""


async def test_parts_of_a_file_can_be_read(link: GuestLink, tmp_path: Path) -> None:
    path = tmp_path / "digits"
    path.write_bytes(b"0123456789" * 10_000)
    assert await read(link, path, offset_bytes=99_995) == b"56789"
    assert await read(link, path, offset_bytes=3, limit_bytes=50_000) == (b"3456789012" * 5_000)
    assert await read(link, path, offset_bytes=1 << 50) == b""


async def test_a_file_that_grows_while_it_has_no_size_is_read(link: GuestLink) -> None:
    assert b"MemTotal" in await read(link, "/proc/meminfo")


async def test_a_sparse_file_of_a_tebibyte_is_not_swallowed(link: GuestLink, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    reader = await link.read_file(str(path))
    assert reader.info.size_bytes == 1 << 40
    assert await anext(reader.content) == bytes(wire.PAYLOAD_BYTES_MAX)
    del reader  # lets go of it
    await link.ping()


async def test_a_reader_that_is_dropped_closes_the_file(link: GuestLink, guest: RunningGuest, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(10_000_000))
    await link.ping()
    before = guest.open_files()
    reader = await link.read_file(str(tmp_path / "big"))
    await anext(reader.content)
    assert guest.open_files() == before + 1
    del reader
    await eventually(lambda: guest.open_files() == before)


async def test_writing_through_a_link_keeps_the_link(link: GuestLink, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    await link.write_file(str(tmp_path / "link"), 0, pieces(b"new"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


async def test_a_file_that_a_program_reads_is_replaced_as_a_whole(link: GuestLink, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("old")
    with path.open() as reader:
        await link.write_file(str(path), 0, pieces(b"new"))
        assert reader.read() == "old"
    assert path.read_text() == "new"


async def test_a_write_that_fails_leaves_nothing(link: GuestLink, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(100_000)
        raise ValueError("the client has gone")

    with pytest.raises(ValueError, match="gone"):
        await link.write_file(str(tmp_path / "new/folder/file"), 0, broken())
    await link.ping()
    assert list(tmp_path.glob("new*")) == []


async def test_a_write_that_is_cancelled_leaves_nothing(link: GuestLink, tmp_path: Path) -> None:
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(1_000_000)
        sent.set()
        await asyncio.Event().wait()

    (tmp_path / "folder").mkdir()
    writing = asyncio.ensure_future(link.write_file(str(tmp_path / "folder/file"), 0, endless()))
    await sent.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await link.ping()
    assert list((tmp_path / "folder").iterdir()) == []


async def test_a_write_whose_connection_is_lost_leaves_nothing(
    link: GuestLink, guest: RunningGuest, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()

    async def cut() -> AsyncIterator[bytes]:
        yield bytes(100_000)
        await eventually(lambda: list((tmp_path / "folder").iterdir()) != [])
        await link.close()
        yield b"more"

    with pytest.raises(AgentError) as caught:
        await link.write_file(str(tmp_path / "folder/file"), 0, cut())
    assert caught.value.code is Code.MACHINE_GONE
    again = await guest.link()
    await again.ping()
    assert list((tmp_path / "folder").iterdir()) == []
    await again.close()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/no/such/file", Code.NO_SUCH_FILE),
        ("/etc/passwd/below", Code.NO_SUCH_FILE),
        ("/etc", Code.NOT_A_FILE),
        ("/dev/zero", Code.NOT_A_FILE),
        ("/{tmp}/fifo", Code.NOT_A_FILE),
        ("/{tmp}/loop", Code.INVALID),
        ("/" + "x" * 300, Code.INVALID),
        ("/" + "x/" * 2500, Code.INVALID),
        ("relative", Code.INVALID),
        ("", Code.INVALID),
        ("/with\0zero", Code.INVALID),
        ("/\ud800", Code.INVALID),
    ],
)
async def test_what_cannot_be_read_says_why(link: GuestLink, tmp_path: Path, path: str, code: Code) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(AgentError) as caught:
        await link.read_file(path.replace("/{tmp}", str(tmp_path)))
    assert caught.value.code is code
    await link.ping()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/etc/passwd/below", Code.NOT_A_FILE),
        ("/{tmp}", Code.NOT_A_FILE),
        ("/{tmp}/new/", Code.NOT_A_FILE),
        ("/dev/null", Code.NOT_A_FILE),
        ("/{tmp}/fifo", Code.NOT_A_FILE),
        ("/{tmp}/loop", Code.INVALID),
        ("/{tmp}/" + "x" * 300, Code.INVALID),
        ("/" + "x/" * 2500, Code.INVALID),
        ("relative", Code.INVALID),
        ("/with\0zero", Code.INVALID),
        ("/dev/full/below", Code.NOT_A_FILE),
    ],
)
async def test_what_cannot_be_written_says_why(
    link: GuestLink, guest: RunningGuest, tmp_path: Path, path: str, code: Code
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    await link.ping()
    before = guest.open_files()
    with pytest.raises(AgentError) as caught:
        await link.write_file(path.replace("/{tmp}", str(tmp_path)), 0, pieces(bytes(1_000_000)))
    assert caught.value.code is code
    await link.ping()
    assert guest.open_files() == before
    assert not list(tmp_path.rglob(".nestbox*"))


@pytest.mark.parametrize("mode", [-1, 0o10000])
async def test_modes_are_permission_bits(link: GuestLink, tmp_path: Path, mode: int) -> None:
    with pytest.raises(AgentError) as caught:
        await link.write_file(str(tmp_path / "file"), mode, pieces())
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize("target", ["kmsg", "self/mem", "self/pagemap", "self/fd/0", "self/cwd", "self/environ"])
async def test_links_into_proc_lead_nowhere_that_blocks(link: GuestLink, tmp_path: Path, target: str) -> None:
    """Most of them can be read for ever, or only by somebody who waits: whatever comes, the guest serves others."""
    (tmp_path / "link").symlink_to(f"/proc/{target}")
    async with asyncio.timeout(5):
        try:
            reader = await link.read_file(str(tmp_path / "link"), limit_bytes=1_000_000)
            size_bytes = sum([len(piece) async for piece in reader.content])
            assert size_bytes <= 1_000_000
        except AgentError as refusal:
            assert refusal.code in {Code.BUSY, Code.INTERNAL, Code.NOT_A_FILE, Code.PERMISSION_DENIED}  # noqa: PT017
        await link.ping()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB. Mounting needs root, as all tests with machines do."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_disk_that_is_full_says_so_and_keeps_nothing(
    link: GuestLink, guest: RunningGuest, small_disk: Path
) -> None:
    path = small_disk / "file"
    await link.write_file(str(path), 0, pieces(b"as it was"))
    before = guest.open_files()
    for target in (path, small_disk / "new/folder/file"):
        with pytest.raises(AgentError) as caught:
            await link.write_file(str(target), 0, pieces(*[bytes(100_000)] * 20))
        assert caught.value.code is Code.GUEST_DISK_FULL
    await link.ping()
    assert guest.open_files() == before
    assert path.read_bytes() == b"as it was"
    assert [found.name for found in small_disk.rglob("*")] == ["file"]

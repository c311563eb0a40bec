"""The real image, from the user's cache; built if it is not there."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from agent.guest import wire
from agent.images import BaseImage, BuildError, base_image, build, initrd, missing_tools, recipe, tools
from agent.images.build import link_or_copy

DISK_BYTES_MAX = 400 << 20
DEADLINE_SECONDS = 900

pytestmark = [pytest.mark.slow, pytest.mark.timeout(DEADLINE_SECONDS)]


def cache_dir() -> Path:
    """Where `nestbox` caches as well: a test run must not build the image a second time."""
    # the environment is read here as a user's shell would have it
    home = os.environ.get("NESTBOX_CACHE_DIR")
    if home:
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nestbox"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> BaseImage:
    return asyncio.run(base_image(cache_dir(), tmp_path_factory.mktemp("data"), print))


def debugfs(image: BaseImage, request: str) -> str:
    done = subprocess.run(
        ["debugfs", "-R", request, image.disk],
        env={"PATH": tools.search_path(), "DEBUGFS_PAGER": "cat"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/python3",
        "/usr/bin/python",
        "/usr/bin/pip",
        "/usr/lib/python3.11/ensurepip/__init__.py",
        "/usr/lib/python3.11/venv/__init__.py",
        "/usr/bin/git",
        "/usr/bin/curl",
        "/usr/bin/ps",
        "/usr/bin/ip",
        "/usr/sbin/resize2fs",
        "/etc/ssl/certs/ca-certificates.crt",
        "/usr/bin/busybox",
        "/etc/inittab",
    ],
)
def test_the_disk_holds_what_sandboxes_need(image: BaseImage, path: str) -> None:
    assert "Inode:" in debugfs(image, f"stat {path}")


@pytest.mark.parametrize("path", ["/usr/share/man/man1", "/var/cache/apt/archives", "/kernel-package", "/boot/vmlinuz"])
def test_the_disk_holds_nothing_else(image: BaseImage, path: str) -> None:
    assert "Inode:" not in debugfs(image, f"stat {path}")


def test_the_disk_is_five_gibibytes_that_take_less_than_400_mb(image: BaseImage) -> None:
    found = image.disk.stat()
    assert found.st_size == 5120 << 20 == image.disk_size_mb << 20
    assert found.st_blocks * 512 < DISK_BYTES_MAX
    print(f"disk: {found.st_blocks * 512 >> 20} MiB used on the host")


def test_the_file_system_is_sound(image: BaseImage) -> None:
    subprocess.run(["e2fsck", "-fn", image.disk], env={"PATH": tools.search_path()}, check=True, capture_output=True)


def test_everybody_may_read_the_files_and_nobody_may_write_them(image: BaseImage) -> None:
    for path in (image.kernel, image.initrd, image.disk):
        assert path.stat().st_mode & 0o777 == 0o444
        assert path.parent.stat().st_mode & 0o755 == 0o755


def test_the_machine_gets_the_guest_program_of_this_checkout(image: BaseImage) -> None:
    archive = image.initrd.read_bytes()
    assert Path(wire.__file__).read_bytes() in archive
    for module in recipe.MODULES:
        assert f"modules/{module.rsplit('/', 1)[1]}.ko\0".encode() in archive


def test_the_same_image_has_the_same_name(image: BaseImage, tmp_path: Path) -> None:
    again = asyncio.run(base_image(cache_dir(), tmp_path, print))
    assert again.content_id == image.content_id
    assert again.disk.stat().st_ino == image.disk.stat().st_ino or again.disk.stat().st_dev != image.disk.stat().st_dev


def test_another_guest_program_is_another_image(
    image: BaseImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "START", recipe.START + "# edited\n")
    edited = asyncio.run(base_image(cache_dir(), tmp_path, print))
    assert edited.content_id != image.content_id


async def test_a_build_that_fails_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "SUITE", "no-such-suite")
    with pytest.raises(BuildError, match="mmdebstrap failed"):
        await base_image(tmp_path / "cache", tmp_path / "data", print)
    assert [path.name for path in (tmp_path / "cache/images").iterdir()] == ["lock"]


async def test_a_build_that_is_cancelled_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "EPOCH", "1700000001")
    begun = asyncio.Event()

    def said(sentence: str) -> None:
        if sentence.startswith("Downloading"):
            begun.set()

    building = asyncio.ensure_future(base_image(tmp_path / "cache", tmp_path / "data", said))
    async with asyncio.timeout(120):
        await begun.wait()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert [path.name for path in (tmp_path / "cache/images").iterdir()] == ["lock"]


async def test_a_missing_tool_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_tools() == {}
    monkeypatch.setattr(tools, "TOOLS", {"no-such-tool": "its-package"})
    with pytest.raises(BuildError, match=r"no-such-tool.*apt-get install -y its-package"):
        await base_image(tmp_path / "cache", tmp_path / "data", print)


def test_an_account_without_ids_to_lend_is_told_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "subuid"
    with pytest.raises(BuildError, match=r"usermod --add-subuids .* somebody"):
        tools.require_subordinate_ids("somebody", table)
    table.write_text("some:100000:65536\n")
    with pytest.raises(BuildError):
        tools.require_subordinate_ids("somebody", table)
    table.write_text("some:100000:65536\nsomebody:165536:65536\n")
    tools.require_subordinate_ids("somebody", table)


async def test_a_full_disk_is_said_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FREE_BYTES_MIN", 1 << 60)
    with pytest.raises(BuildError, match="free space"):
        await base_image(tmp_path / "cache", tmp_path / "data", print)


def test_a_copy_to_another_file_system_keeps_its_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.write(b"begin")
        file.seek(100 << 20)
        file.write(b"middle" * 100_000)
        file.truncate(1 << 30)
    target = tmp_path / "target"
    build.copy_sparse(source, target)
    assert target.stat().st_size == 1 << 30
    assert target.stat().st_blocks * 512 < 4 << 20
    with target.open("rb") as file:
        assert file.read(5) == b"begin"
        file.seek(100 << 20)
        assert file.read(600_000) == b"middle" * 100_000


def test_a_link_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    link_or_copy(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").samefile(tmp_path / "source")


def test_an_archive_is_what_the_kernel_reads(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_bytes(b"busybox")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/one.ko").write_bytes(b"one")
    archive = initrd.build(tmp_path / "busybox", tmp_path / "modules")
    assert archive == initrd.build(tmp_path / "busybox", tmp_path / "modules")
    names, position = [], 0
    while b"TRAILER!!!" not in names:
        assert archive[position : position + 6] == b"070701"
        size, length = (int(archive[position + at : position + at + 8], 16) for at in (54, 94))
        names.append(archive[position + 110 : position + 110 + length - 1])
        position += (110 + length + 3) // 4 * 4 + (size + 3) // 4 * 4
    assert position == len(archive)
    assert {b"init", b"bin/busybox", b"modules/one.ko", b"guest/start.py", b"guest/agent/guest/wire.py"} <= set(names)

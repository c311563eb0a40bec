"""Base templates of one's own: registered when complete, known at once, gone when removed."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.images import BuildError, Resolver, UnknownTemplate, base_image, recipe, rootfs, tools
from agent.images.build import disk_folder
from agent.images.lock import locked
from agent.images.names import check_packages, check_template_name
from agent.images.registry import BaseTemplate, Registry
from agent.images.templates import build_template, import_template, list_templates, remove_template, unregistered_disks
from tests.agent.images.archives import file, python, write
from tests.agent.images.test_base_image import cache_dir
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]


def quiet(_: str) -> None:
    """For those who do not ask."""


async def imported(data_dir: Path, name: str, content: bytes = b"x") -> BaseTemplate:
    source = write(data_dir.parent / f"{name}.tar", [*python(), file("etc/mine", content)])
    return await import_template(data_dir.parent / "cache", data_dir, name, source, quiet)


def check_soundness(disk: Path) -> None:
    environment = {"PATH": tools.search_path()}
    subprocess.run(["e2fsck", "-fn", disk], env=environment, check=True, capture_output=True)


def facts_of(disk: Path) -> dict[str, str]:
    """What the file system says of itself."""
    environment = {"PATH": tools.search_path()}
    said = subprocess.run(["dumpe2fs", "-h", disk], env=environment, check=True, capture_output=True, text=True).stdout
    return dict(line.split(":", 1) for line in said.splitlines() if ":" in line)


def inode_of(disk: Path, path: str) -> str:
    environment = {"PATH": tools.search_path(), "DEBUGFS_PAGER": "cat"}
    request = ["debugfs", "-R", f"stat {path}", str(disk)]
    return subprocess.run(request, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["a", "mine", "node-22", "team.tools_2", "a-", "a" * 63])
def test_good_names(name: str) -> None:
    assert check_template_name(name) == name


@pytest.mark.parametrize("name", ["", "Mine", "-a", ".", "..", "a/b", "../a", "a b", "a\n", "é", "a" * 64, "base"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(BuildError, match=r"cannot be called|built in"):
        check_template_name(name)


@pytest.mark.parametrize(
    "name", ["", "a", "Git", "-git", "git-", "git curl", "git;x", "git=1", "git/sid", "$(x)", "?x"]
)
def test_what_is_no_name_of_a_package_is_named(name: str) -> None:
    with pytest.raises(BuildError) as refused:
        check_packages(["git", name, "g++"])
    assert repr(name) in str(refused.value)
    assert "g++" not in str(refused.value)


def test_the_order_of_packages_says_nothing() -> None:
    assert check_packages(["nodejs", "git", "git"]) == ("git", "nodejs")
    keys = {recipe.root_key(recipe.packages_with(given)) for given in (["git", "tree"], ["tree"], ["tree", "curl"])}
    assert len(keys) == 1
    assert keys != {recipe.root_key()}
    assert recipe.root_key(recipe.packages_with(["git"])) == recipe.root_key()


async def test_a_package_that_debian_does_not_have_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no package no-such-package\.at-all, nosuchpackage\."):
        await build_template(
            tmp_path / "cache", tmp_path / "data", "mine", ["nosuchpackage", "no-such-package.at-all"], quiet
        )
    assert [path.name for path in (tmp_path / "cache/disks").iterdir()] == ["lock"]
    assert Registry(tmp_path / "data").all() == []
    assert not (tmp_path / "data/images").exists()


async def test_an_imported_disk_is_sparse_sound_and_as_large_as_the_default(tmp_path: Path) -> None:
    template = await imported(tmp_path / "data", "mine")
    folder = disk_folder(tmp_path / "data", template.disk)
    disk = folder / "disk"
    found = disk.stat()
    assert found.st_size == recipe.DISK_SIZE_MB << 20
    assert found.st_blocks * 512 < 64 << 20
    check_soundness(disk)
    facts = facts_of(disk)
    # the file system fills its disk: what is made on it finds the default size at least
    assert int(facts["Block count"]) * int(facts["Block size"]) == recipe.DISK_SIZE_MB << 20
    assert sorted(path.name for path in folder.iterdir()) == ["disk", rootfs.MANIFEST]
    assert [path.name for path in (tmp_path / "data/images").iterdir()] == [folder.name]


async def test_owners_and_modes_reach_the_disk(tmp_path: Path) -> None:
    sudo, content = file("usr/bin/sudo", b"program", 0o4755)
    sudo.gid = 33
    source = write(tmp_path / "mine.tar", [*python(), (sudo, content)])
    template = await import_template(tmp_path, tmp_path / "data", "mine", source, quiet)
    said = inode_of(disk_folder(tmp_path / "data", template.disk) / "disk", "/usr/bin/sudo")
    assert "Mode:  04755" in said
    assert "User:     0   Group:    33" in said


async def test_the_same_content_is_one_disk_and_goes_with_the_last_of_its_names(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first, second, other = [
        await imported(data, name, content) for name, content in (("first", b"a"), ("second", b"a"), ("other", b"b"))
    ]
    assert first.disk == second.disk != other.disk
    assert [found.template.name for found in list_templates(tmp_path, data)] == ["base", "first", "other", "second"]
    assert await remove_template(data, "first", quiet)
    assert disk_folder(data, second.disk).exists()
    assert await remove_template(data, "second", quiet)
    assert not disk_folder(data, second.disk).exists()
    assert disk_folder(data, other.disk).exists()
    assert not await remove_template(data, "second", quiet), "it may be repeated"


async def test_a_name_has_one_content(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = await imported(data, "mine", b"a")
    assert await imported(data, "mine", b"a") == first, "the same again is no mistake"
    with pytest.raises(BuildError, match="another template mine"):
        await imported(data, "mine", b"b")
    with pytest.raises(BuildError, match="another template mine"):
        await build_template(cache_dir(), data, "mine", [], quiet)
    assert [path.name for path in (data / "images").iterdir()] == [f"disk-{first.disk}"]


async def test_an_import_that_is_refused_or_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    source = write(tmp_path / "bad.tar", [file("/etc/evil")])
    with pytest.raises(BuildError, match="absolute"):
        await import_template(tmp_path, data, "mine", source, quiet)
    with pytest.raises(BuildError, match=r"no archive .*missing\.tar"):
        await import_template(tmp_path, data, "mine", tmp_path / "missing.tar", quiet)
    monkeypatch.setattr(recipe, "DISK_SIZE_MB", 64)
    source = write(tmp_path / "large.tar", [*python(), file("large", bytes(80 << 20))])
    with pytest.raises(BuildError, match=r"failed while the base image was built"):
        await import_template(tmp_path, data, "mine", source, quiet)
    assert [path.name for path in (data / "base-templates").iterdir()] == ["lock"]
    assert not (data / "images").exists()


async def test_an_import_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    source = write(tmp_path / "large.tar", [*python(), *(file(f"f{n}", bytes(1 << 20)) for n in range(300))])
    begun = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        importing = tasks.create_task(import_template(tmp_path, data, "mine", source, lambda _: begun.set()))
        await begun.wait()
        importing.cancel()
    assert importing.cancelled()
    assert [path.name for path in (data / "base-templates").iterdir()] == ["lock"]
    assert Registry(data).all() == []


async def test_what_killed_programs_left_is_removed_by_the_next(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for stale in (data / "base-templates/.building-x", data / "images/disk-orphan"):
        stale.mkdir(parents=True)
        (stale / "disk").touch()
    (data / "base-templates/.unfinished-x").touch()
    await imported(data, "mine")
    await remove_template(data, "mine", quiet)
    assert [path.name for path in (data / "base-templates").iterdir()] == ["lock"]
    assert list((data / "images").iterdir()) == []


async def test_disks_that_are_not_registered_are_told_unless_that_may_be_under_way(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.open()
    for key in ("a" * 32, "b" * 32):
        disk_folder(tmp_path, key).mkdir(parents=True)
    registry.add(BaseTemplate("mine", "a" * 32, (), "x.tar", ""))
    orphan = disk_folder(tmp_path, "b" * 32)
    assert unregistered_disks(tmp_path) == [orphan]
    async with locked(registry.lock, quiet):
        assert unregistered_disks(tmp_path) == []
    assert unregistered_disks(tmp_path) == [orphan]
    (registry.folder / "other.json").write_text("{")
    assert unregistered_disks(tmp_path) == []


async def test_what_a_killed_agent_left_of_a_base_image_is_removed_by_the_next(tmp_path: Path) -> None:
    stale = tmp_path / "images/.building-x"
    stale.mkdir(parents=True)
    (stale / "disk").touch()
    image = await base_image(cache_dir(), tmp_path, quiet)
    assert [path.name for path in (tmp_path / "images").iterdir()] == [image.disk.parent.name]


async def test_the_agent_learns_of_changes_at_its_next_question(tmp_path: Path) -> None:
    data = tmp_path / "data"
    resolver = Resolver(cache_dir(), data, quiet)
    for name in ("mine", "../base", ""):
        with pytest.raises(UnknownTemplate, match="no template named"):
            await resolver(name)
    await imported(data, "mine", b"a")
    image = await resolver("mine")
    assert await resolver("mine") is image, "asking again costs nothing"
    usual = await resolver("base")
    assert image.content_id != usual.content_id
    assert image.kernel.read_bytes() == usual.kernel.read_bytes()
    assert image.initrd.read_bytes() == usual.initrd.read_bytes()
    await remove_template(data, "mine", quiet)
    with pytest.raises(UnknownTemplate):
        await resolver("mine")
    assert image.disk.exists(), "sandboxes may stand on it"
    await imported(data, "mine", b"b")
    assert (await resolver("mine")).content_id != image.content_id


async def test_a_disk_that_is_missing_is_said(tmp_path: Path) -> None:
    data = tmp_path / "data"
    template = await imported(data, "mine")
    (disk_folder(data, template.disk) / rootfs.MANIFEST).unlink()
    assert [found.is_present for found in list_templates(cache_dir(), data) if found.template.name == "mine"] == [False]
    with pytest.raises(BuildError, match="mine is not on this host any more"):
        await Resolver(cache_dir(), data, quiet)("mine")


async def test_a_damaged_entry_is_said_and_can_be_removed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    await imported(data, "mine")
    (data / "base-templates/mine.json").write_text("{")
    with pytest.raises(BuildError, match="damaged: remove it"):
        await Resolver(cache_dir(), data, quiet)("mine")
    assert await remove_template(data, "mine", quiet)
    assert list((data / "images").iterdir()) == []


async def test_two_programs_at_once_register_one_content(tmp_path: Path) -> None:
    data = tmp_path / "data"
    sources = [write(tmp_path / f"{n}.tar", [*python(), file("etc/n", b"%d" % n)]) for n in range(2)]

    async def run(source: Path) -> tuple[int, str]:
        command = [sys.executable, "-m", "agent.images", "import", tmp_path / "cache", data, "mine", source]
        process = await asyncio.create_subprocess_exec(
            *map(str, command), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        output, complaints = await process.communicate()
        return process.returncode or 0, (output + complaints).decode()

    (first, said_first), (second, said_second) = await asyncio.gather(*map(run, sources))
    assert sorted([first, second]) == [0, 1], said_first + said_second
    winner, loser = (said_first, said_second) if first == 0 else (said_second, said_first)
    assert json.loads(winner.splitlines()[-1])["disk"] == Registry(data).get("mine").disk
    assert "another template mine" in loser
    assert "Traceback" not in loser
    assert len(list((data / "images").glob("disk-*"))) == 1


async def test_a_terminated_import_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    source = write(tmp_path / "large.tar", [*python(), *(file(f"f{n}", bytes(1 << 20)) for n in range(300))])
    command = [sys.executable, "-m", "agent.images", "import", tmp_path, data, "mine", source]
    process = await asyncio.create_subprocess_exec(*map(str, command), cwd=ROOT, stdout=subprocess.DEVNULL)
    await eventually(lambda: any((data / "base-templates").glob(".building-*/root.tar")))
    process.terminate()
    assert await process.wait() != 0
    assert [path.name for path in (data / "base-templates").iterdir()] == ["lock"]

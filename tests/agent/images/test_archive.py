"""What is let through of somebody else's archive."""

import hashlib
import io
import tarfile
import threading
from pathlib import Path

import pytest

from agent.images import archive
from agent.images.tools import BuildError
from tests.agent.images.archives import ELF, file, folder, link, python, special, write

Entries = list[tuple[tarfile.TarInfo, bytes]]


def cleaned(tmp_path: Path, entries: Entries, mode: str = "w") -> tarfile.TarFile:
    source = write(tmp_path / "source.tar", entries, mode)
    archive.clean(source, tmp_path / "clean.tar", threading.Event())
    return tarfile.open(tmp_path / "clean.tar")


def refused(tmp_path: Path, entries: Entries, why: str) -> None:
    source = write(tmp_path / "source.tar", entries)
    with pytest.raises(BuildError, match=why):
        archive.clean(source, tmp_path / "clean.tar", threading.Event())


def test_a_system_keeps_its_files_links_owners_and_modes(tmp_path: Path) -> None:
    sudo, content = file("usr/bin/sudo", b"program", 0o4755)
    sudo.uid, sudo.gid, sudo.mtime = 0, 33, 1_600_000_000
    entries = [
        folder("./"),
        folder("usr", 0o755),
        (sudo, content),
        link("usr/bin/again", "usr/bin/sudo", tarfile.LNKTYPE),
        link("bin", "usr/bin"),
        link("etc-on-the-host", "/etc/passwd"),
        link("up", "../../../etc"),
        *python(),
    ]
    with cleaned(tmp_path, entries) as found:
        kept = found.getmember("./usr/bin/sudo")
        assert (kept.mode, kept.uid, kept.gid, kept.mtime) == (0o4755, 0, 33, 1_600_000_000)
        reader = found.extractfile(kept)
        assert reader is not None
        assert reader.read() == b"program"
        assert found.getmember("./usr/bin/again").linkname == "./usr/bin/sudo"
        assert found.getmember("./bin").linkname == "usr/bin"
        # links lead where they like: they are followed in the guest only
        assert found.getmember("./etc-on-the-host").linkname == "/etc/passwd"
        assert found.getmember("./up").linkname == "../../../etc"


def test_what_the_guest_needs_is_added(tmp_path: Path) -> None:
    stale = [file("etc/hostname", b"container"), file("etc/inittab", b"::sysinit:/sbin/openrc"), file("etc/passwd")]
    with cleaned(
        tmp_path, [*stale, *python("usr/local/bin/python3.12"), link("usr/local/bin/python3", "python3.12")]
    ) as it:
        names = it.getnames()
        assert len(names) == len(set(names))
        assert it.getmember("./etc/hostname").linkname == "/run/identity/hostname"
        inittab = it.extractfile("./etc/inittab")
        assert inittab is not None
        assert inittab.read() == b"::respawn:/usr/local/bin/python3 -I -S -B /run/nestbox/guest/start.py\n"
        for name in ("dev", "proc", "sys", "run", "tmp", "mnt", "etc", "root", "var/log"):
            assert it.getmember(f"./{name}").isdir()
        assert it.getmember("./tmp").mode == 0o1777
        assert "./etc/passwd" in names


def test_devices_pipes_and_all_of_dev_are_left_out(tmp_path: Path) -> None:
    entries = [
        folder("dev"),
        special("dev/console"),
        file("dev/planted"),
        special("sda", tarfile.BLKTYPE),
        special("var/pipe", tarfile.FIFOTYPE),
        *python(),
    ]
    source = write(tmp_path / "source.tar", entries)
    assert archive.clean(source, tmp_path / "clean.tar", threading.Event()) == 2
    with tarfile.open(tmp_path / "clean.tar") as found:
        assert not any(entry.isdev() for entry in found)
        assert not any(name.startswith("./dev/") for name in found.getnames())


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([file("/etc/cron.d/evil")], "absolute name"),
        ([file("../outside")], "leads out of it"),
        ([file("a/../../outside")], "leads out of it"),
        ([link("a", "/etc"), file("a/cron.d")], "behind a link"),
        ([link("a", "."), folder("a")], "two different things"),
        ([file("a"), file("a/b")], "behind a link or a file"),
        ([folder("a"), link("a", "/etc")], "two different things"),
        ([file("a"), link("a", "/etc")], "two different things"),
        ([link("x", "/etc/shadow", tarfile.LNKTYPE)], "absolute name"),
        ([link("x", "../etc/shadow", tarfile.LNKTYPE)], "leads out of it"),
        ([link("x", "etc/shadow", tarfile.LNKTYPE)], "hard link to what is no file"),
        ([link("a", "/etc"), link("x", "a/shadow", tarfile.LNKTYPE)], "behind a link"),
        ([link("etc", "/elsewhere"), *python()], "behind a link|is no folder"),
        ([file("tmp"), *python()], "/tmp is no folder"),
    ],
)
def test_what_could_leave_its_folder_is_refused(tmp_path: Path, entries: Entries, why: str) -> None:
    refused(tmp_path, entries, why)


def test_a_hard_link_to_a_symbolic_one_is_a_symbolic_one(tmp_path: Path) -> None:
    entries = [link("a", "/etc/shadow"), link("b", "a", tarfile.LNKTYPE), *python()]
    with cleaned(tmp_path, entries) as found:
        assert found.getmember("./b").issym()
        assert found.getmember("./b").linkname == "/etc/shadow"


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([file("bin/sh", ELF, 0o755)], "has no Python at /usr/bin/python3 or /usr/local/bin/python3"),
        ([file("usr/bin/python3", ELF, 0o644)], "has no Python"),
        ([link("usr/bin/python3", "python3")], "has no Python"),
        ([file("manifest.json"), file("abc/layer.tar")], "docker save"),
        (python("usr/bin/python3.9"), "has Python 3.9; the guest needs 3.10 or newer"),
        ([file("usr/bin/python3", ELF[:18] + b"\xb7\x00", 0o755)], "another processor"),
    ],
)
def test_a_system_that_nestbox_cannot_run_is_refused_with_the_reason(
    tmp_path: Path, entries: Entries, why: str
) -> None:
    refused(tmp_path, entries, why)


def test_python_is_found_behind_links_through_folders(tmp_path: Path) -> None:
    entries = [
        link("bin", "usr/bin"),
        link("usr/bin/python3", "/etc/alternatives/python3"),
        link("etc/alternatives/python3", "../../bin/./python3.13"),
        file("usr/bin/python3.13", ELF, 0o755),
    ]
    with cleaned(tmp_path, entries) as found:
        assert "./usr/bin/python3.13" in found.getnames()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_the_packing_makes_no_difference(tmp_path: Path, mode: str) -> None:
    entries = [file("etc/name", b"content" * 1000), *python()]
    with cleaned(tmp_path, entries) as plain:
        names = plain.getnames()
    digest = hashlib.sha256((tmp_path / "clean.tar").read_bytes()).hexdigest()
    with cleaned(tmp_path, entries, mode) as found:
        assert found.getnames() == names
    assert hashlib.sha256((tmp_path / "clean.tar").read_bytes()).hexdigest() == digest


def test_names_that_are_no_unicode_are_kept(tmp_path: Path) -> None:
    name = b"latin-\xe9".decode("utf-8", "surrogateescape")
    with cleaned(tmp_path, [file(name), *python()]) as found:
        assert f"./{name}" in found.getnames()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, mode: str, share: float) -> None:
    entries = [file(f"file-{number}", bytes([number]) * 3000) for number in range(50)]
    source = write(tmp_path / "source.tar", [*python(), *entries], mode)
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BuildError, match="no complete tar archive"):
        archive.clean(source, tmp_path / "clean.tar", threading.Event())


def test_an_archive_that_is_cut_between_entries_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "source.tar", [*python(), file("last", bytes(512))])
    with tarfile.open(source) as whole:
        end = whole.getmembers()[-1].offset
    source.write_bytes(source.read_bytes()[:end])
    with pytest.raises(BuildError, match="cut off"):
        archive.clean(source, tmp_path / "clean.tar", threading.Event())


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100, b"\x1f\x8b\x08garbage", bytes(1024)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "source.tar"
    source.write_bytes(content)
    with pytest.raises(BuildError, match=r"no complete tar archive|no Python"):
        archive.clean(source, tmp_path / "clean.tar", threading.Event())


def test_zstandard_is_named(tmp_path: Path) -> None:
    source = tmp_path / "source.tar.zst"
    source.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(BuildError, match="unzstd"):
        archive.clean(source, tmp_path / "clean.tar", threading.Event())


def test_more_than_a_disk_holds_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "CONTENT_BYTES_MAX", 1 << 20)
    refused(tmp_path, [*python(), file("bomb", bytes(1 << 20))], "too large")
    assert (tmp_path / "clean.tar").stat().st_size < 1 << 20
    monkeypatch.setattr(archive, "ENTRIES_MAX", 5)
    refused(tmp_path, [*python(), *(file(f"{number}") for number in range(5))], "too large")


def test_it_can_be_stopped_in_the_middle_of_a_file(tmp_path: Path) -> None:
    stop = threading.Event()

    class Stopping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            stop.set()
            return super().read(size)

    watched = archive._Watched(Stopping(bytes(100)), stop)
    assert watched.read(10) == bytes(10)
    with pytest.raises(archive.Stopped):
        watched.read(10)
    source = write(tmp_path / "source.tar", python())
    with pytest.raises(archive.Stopped):
        archive.clean(source, tmp_path / "clean.tar", stop)

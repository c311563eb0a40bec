"""Archives to import: small ones made of entries, and a real one made of the base image."""

import io
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from agent.images import tools

# the first bytes of a program for x86-64
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00"


def folder(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry, b""


def file(name: str, content: bytes = b"x", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = mode, len(content)
    return entry, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, target, 0o777
    return entry, b""


def special(name: str, kind: bytes = tarfile.CHRTYPE) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.devmajor, entry.devminor = kind, 1, 3
    return entry, b""


def python(name: str = "usr/bin/python3.11") -> list[tuple[tarfile.TarInfo, bytes]]:
    """What makes a root file system one that Nestbox takes."""
    return [file(name, ELF + b"...", 0o755), link("usr/bin/python3", name.rsplit("/", 1)[1])]


def write(path: Path, entries: Iterable[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return path


def of_disk(disk: Path, scratch: Path) -> Path:
    """All files of an ext4 file system, in an archive as `docker export` would give it (3 s)."""
    root = scratch / "root"
    root.mkdir()
    environment = {"PATH": tools.search_path()}
    subprocess.run(["debugfs", "-R", f"rdump / {root}", disk], env=environment, check=True, capture_output=True)
    made = scratch / "root.tar"
    owner = ["--owner=0", "--group=0", "--numeric-owner"]
    subprocess.run(["tar", *owner, "--exclude=./lost+found", "-C", root, "-cf", made, "."], check=True)
    subprocess.run(["rm", "-rf", root], check=True)
    return made

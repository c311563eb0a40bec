"""A tar archive of somebody else's root file system, made harmless: what is left can be unpacked in a private folder.

Nothing is unpacked here. The archive is read once, judged entry by entry, and written again with what passed: folders,
regular files, links that stay inside. What the guest needs is added. Any doubt refuses the whole archive.
"""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
import zlib
from pathlib import Path
from typing import IO

from agent.images import recipe
from agent.images.tools import BuildError
from agent.images.tree import Tree

ENTRIES_MAX = 300_000  # the file system has 327,680 inodes
CONTENT_BYTES_MAX = (recipe.DISK_SIZE_MB - 512) << 20  # 512 MiB for journal, inodes and room to work
UIDS_LENT = 65_536  # what an ordinary user may lend out to files

_GZIP, _XZ, _BZIP2, _ZSTANDARD = b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd"
# The kernel and the first program mount there; what stands in /dev is made by the kernel (devtmpfs).
_MOUNT_POINTS = {"dev": 0o755, "proc": 0o755, "sys": 0o755, "run": 0o755, "tmp": 0o1777, "mnt": 0o755}
_FOLDERS = {**_MOUNT_POINTS, "etc": 0o755, "root": 0o700, "var": 0o755, "var/log": 0o755}
_OWN_FILES = frozenset({"etc/inittab", "etc/resolv.conf", *(f"etc/{name}" for name in recipe.IDENTITY_FILES)})
_HEAD_BYTES = 20  # of a program: says for which processor it is


class Stopped(Exception):
    """Whoever waited for it was cancelled."""


def clean(source: Path, target: Path, stop: threading.Event) -> int:
    """Writes the harmless part of the archive `source` to `target`, with what the guest needs; the same entries give
    the same bytes, however they were compressed. Returns how many special files were left out. Blocks; `stop` ends it.

    Raises: BuildError: not an archive, incomplete, too large, not safe to unpack, or no system that Nestbox can run.
        Stopped. OSError.
    """
    try:
        # whatever bytes names have, they keep (surrogateescape is the library's own choice)
        with (
            _opened(source) as content,
            tarfile.open(fileobj=content, mode="r:", encoding="utf-8") as entries,
            tarfile.open(target, "w", format=tarfile.GNU_FORMAT, encoding="utf-8") as cleaned,
        ):
            cleaning = _Cleaning(entries, cleaned, stop)
            while (entry := entries.next()) is not None:
                entries.members.clear()  # type: ignore[attr-defined] # all of them would be kept, and take hundreds of MB
                cleaning.take(entry)
            _require_end(content, entries.offset)
            cleaning.finish()
            return cleaning.left_out
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError) as error:
        raise BuildError(f"{source.name} is no complete tar archive: {error}.") from error


def _opened(source: Path) -> io.BufferedIOBase:
    with source.open("rb") as file:
        start = file.read(8)
    if start.startswith(_ZSTANDARD):
        raise BuildError(
            f"{source.name} is packed with zstd, which cannot be read here: unpack it with `unzstd` first."
        )
    if start.startswith(_GZIP):
        return gzip.open(source)
    if start.startswith(_XZ):
        return lzma.open(source)
    if start.startswith(_BZIP2):
        return bz2.open(source)
    return source.open("rb")


def _require_end(content: io.BufferedIOBase, offset: int) -> None:
    """The library takes a cut-off archive for its end; a whole one has a block of zeros there."""
    content.seek(offset)
    block = content.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        raise tarfile.ReadError("it is cut off")


class _Watched(io.RawIOBase):
    """Content on its way from one archive to the other: can be stopped, and its start is remembered."""

    def __init__(self, content: IO[bytes], stop: threading.Event) -> None:
        super().__init__()
        self._content = content
        self._stop = stop
        self.head = b""

    def read(self, size: int = -1) -> bytes:
        if self._stop.is_set():
            raise Stopped
        data = self._content.read(size)
        if len(self.head) < _HEAD_BYTES:
            self.head = (self.head + data)[:_HEAD_BYTES]
        return data


class _Cleaning:
    """One pass over an archive."""

    def __init__(self, entries: tarfile.TarFile, cleaned: tarfile.TarFile, stop: threading.Event) -> None:
        self._entries = entries
        self._cleaned = cleaned
        self._stop = stop
        self._tree = Tree()
        self._count = self._bytes = 0
        self.left_out = 0

    def take(self, entry: tarfile.TarInfo) -> None:
        """Judges one entry, and writes it if it may stay. Raises: BuildError, Stopped."""
        if self._stop.is_set():
            raise Stopped
        self._count += 1
        self._bytes += entry.size
        if self._count > ENTRIES_MAX or self._bytes > CONTENT_BYTES_MAX:
            raise BuildError(
                f"The archive is too large: {ENTRIES_MAX:,} entries and {CONTENT_BYTES_MAX >> 20:,} MiB fit on a disk."
            )
        path = self._tree.path_of(entry.name)
        if not path or path in _OWN_FILES or path.startswith("dev/"):
            return
        if entry.isdev():
            self.left_out += 1
            return
        written = tarfile.TarInfo(f"./{path}")
        written.mode, written.mtime = entry.mode & 0o7777, min(max(int(entry.mtime), 0), 1 << 33)
        written.uid, written.gid = self._owner(entry)
        if entry.isdir():
            self._tree.add_folder(path)
            written.type = tarfile.DIRTYPE
        elif entry.issym():
            self._tree.add_link(path, entry.linkname)
            written.type, written.linkname = tarfile.SYMTYPE, entry.linkname
        elif entry.islnk():
            first = self._tree.path_of(entry.linkname)
            if first in _OWN_FILES or first.startswith("dev/"):
                return
            target = self._tree.add_name(path, first)
            written.type = tarfile.LNKTYPE if target is None else tarfile.SYMTYPE
            written.linkname = f"./{first}" if target is None else target
        elif entry.isreg():
            content = self._entries.extractfile(entry)
            if content is None:
                raise tarfile.ReadError(f"{path} has no content")
            written.size = entry.size
            watched = _Watched(content, self._stop)
            self._cleaned.addfile(written, watched)
            self._tree.add_file(path, watched.head, executable=bool(entry.mode & 0o111))
            return
        else:
            raise BuildError(f"The archive has an entry of an unknown kind: {path!r}.")
        self._cleaned.addfile(written)

    def _owner(self, entry: tarfile.TarInfo) -> tuple[int, int]:
        if max(entry.uid, entry.gid) >= UIDS_LENT and os.geteuid() != 0:
            raise BuildError(f"{entry.name!r} belongs to user {entry.uid}, which only root can make: run this as root.")
        return entry.uid, entry.gid

    def finish(self) -> None:
        """Adds what the guest needs. Raises: BuildError when the archive has no place for it, or no Python."""
        python = self._tree.require_python()
        for path, mode in _FOLDERS.items():
            if self._tree.require_folder(path):
                continue
            folder = _own(path, mode)
            folder.type = tarfile.DIRTYPE
            self._cleaned.addfile(folder)
        inittab = f"{recipe.INITTAB.format(python=python)}\n".encode()
        for path, content in (("etc/inittab", inittab), ("etc/resolv.conf", b"")):
            file = _own(path, 0o644)
            file.size = len(content)
            self._cleaned.addfile(file, io.BytesIO(content))
        for name in recipe.IDENTITY_FILES:
            link = _own(f"etc/{name}", 0o777)
            link.type, link.linkname = tarfile.SYMTYPE, f"/run/identity/{name}"
            self._cleaned.addfile(link)


def _own(path: str, mode: int) -> tarfile.TarInfo:
    """Root's, of a time that is always the same."""
    entry = tarfile.TarInfo(f"./{path}")
    entry.mode, entry.mtime = mode, int(recipe.EPOCH)
    return entry

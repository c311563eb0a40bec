"""A paused machine on disk: `pause-<incarnation>/{memory,state,manifest.json}` in its sandbox's folder.

It is complete or it is not there: it is written under another name, synced and renamed. It holds every page that is
the machine's own, so it stands on its image alone, however often the machine was paused before.
"""

import contextlib
import errno
import hashlib
import itertools
import mmap
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np

from agent.drivers.qemu import disks, layers, manifests
from agent.drivers.qemu.layers import Chain
from agent.drivers.qemu.manifests import FileSum, ManifestError, PauseManifest, SnapshotManifest
from agent.drivers.qemu.ram import CHUNK_BYTES, PAGE, Base, MappedRam, Runs, union, write_back

PREFIX = "pause-"
UNFINISHED = "unfinished-"
MEMORY = "memory"  # number of runs (8 bytes), the runs (8 bytes each), the pages
STATE = "state"
STATE_BYTES_RESERVED = 256 << 10  # about ten times of what it takes
STATE_BYTES_MAX = 16 << 20  # a hostile QEMU could make it terabytes of holes, and a thread read them for hours


@dataclass(frozen=True, slots=True)
class SavedMemory:
    """Read and proved: the pages to put in, and the open file with the device state, which the caller closes."""

    manifest: PauseManifest
    runs: Runs
    content: memoryview
    state_fd: int


class Unfinished:
    """Memory and state of a machine that are being written, for a pause or a snapshot. Nothing of it counts before
    `publish`."""

    state_fd = -1

    def __init__(self, parent: Path, unfinished: str, final: str) -> None:
        """Names of folders in `parent`: while it is written, and afterwards. Raises: OSError; nothing is left."""
        self._final = parent / final
        self._folder = parent / unfinished
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700)
        try:
            # Write-only, as QEMU will ask for it: a set of descriptors is matched by access mode.
            self.state_fd = os.open(self._folder / STATE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            # QEMU does not say that the disk was full; this does.
            os.posix_fallocate(self.state_fd, 0, STATE_BYTES_RESERVED)
        except OSError:
            self.close()
            raise

    @property
    def folder(self) -> Path:
        """Where it is written."""
        return self._folder

    def save_memory(self, ram: MappedRam, own: Runs) -> FileSum:
        """Writes and syncs pages of a machine, a few MiB of them in memory at a time; the machine must stand still.

        Raises: OSError, EOFError.
        """
        return self.write_memory(own, ram.chunks(own))

    def spill_memory(self, runs: Runs, content: Iterable[memoryview]) -> int:
        """Writes the beginning of what `write_memory` writes the rest of, and neither syncs nor sums it: a machine
        stands still meanwhile. How many bytes that are. Raises: OSError, EOFError."""
        with (self._folder / MEMORY).open("xb", buffering=0) as file:
            for part in itertools.chain((_header(runs),), content):
                _write_all(file.fileno(), part)
            return file.tell()

    def write_memory(self, runs: Runs, content: Iterable[memoryview], spilled_bytes: int = 0) -> FileSum:
        """Writes and syncs pages, or those that come after what was spilled. While one part is written, its sum is made
        and the ones before it are on their way to the disk. Raises: OSError, EOFError."""
        digest = hashlib.sha256()
        start = () if spilled_bytes else (_header(runs),)
        fd = os.open(self._folder / MEMORY, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.lseek(fd, spilled_bytes, os.SEEK_SET)
            with ThreadPoolExecutor(1, "sum") as beside:
                summing = beside.submit(_sum_beginning, fd, spilled_bytes, digest.update)
                for part in itertools.chain(start, content):
                    summing.result()
                    summing = beside.submit(digest.update, part)
                    _write_all(fd, part)
                    write_back(fd, size, len(part))
                    size += len(part)
                summing.result()
            os.fsync(fd)
        finally:
            os.close(fd)
        return FileSum(size, digest.hexdigest())

    def finish_state(self) -> FileSum:
        """Syncs what QEMU wrote. It shares our position in the file, and a hostile one may move it or write on.

        Raises: OSError, EFBIG if it is more than device state can be.
        """
        size = os.lseek(self.state_fd, 0, os.SEEK_CUR)
        if size <= STATE_BYTES_MAX:
            os.ftruncate(self.state_fd, size)
            os.fsync(self.state_fd)
            written = manifests.sum_of_file(self._folder / STATE, STATE_BYTES_MAX)
            if written.size_bytes <= STATE_BYTES_MAX:
                return written
        raise OSError(errno.EFBIG, "QEMU wrote more than device state can be")

    def publish(self, manifest: PauseManifest | SnapshotManifest) -> None:
        """It is there from here on, also after a power failure. Raises: OSError; nothing is published then."""
        manifests.write(self._folder, manifest)
        manifests.sync_folder(self._folder)
        self._folder.rename(self._final)
        manifests.sync_folder(self._final.parent)

    def withdraw(self) -> None:
        """Undoes `publish`. May be repeated."""
        shutil.rmtree(self._final, ignore_errors=True)

    def close(self) -> None:
        """Removes what was not published. May be repeated."""
        if self.state_fd >= 0:
            os.close(self.state_fd)
            self.state_fd = -1
        shutil.rmtree(self._folder, ignore_errors=True)


def own_pages(ram: MappedRam, base: Base, inherited: Runs) -> Runs:
    """The machine's own pages; the machine must stand still. `inherited` are those that a fork shares with its
    siblings: they are not its base's either. Raises: OSError, EOFError."""
    runs = union(ram.dirty(), inherited)
    return ram.without_zeros(runs) if base is Base.EMPTY else runs


def unfinished_pause(machine_dir: Path, incarnation: UUID) -> Unfinished:
    """Of a machine, in its folder."""
    return Unfinished(machine_dir, f"{UNFINISHED}{incarnation}", f"{PREFIX}{incarnation}")


def discard_older(machine_dir: Path, incarnation: UUID) -> None:
    """Removes all pauses but this one."""
    for path in pauses(machine_dir):
        if path.name != f"{PREFIX}{incarnation}":
            shutil.rmtree(path, ignore_errors=True)


def pauses(machine_dir: Path) -> list[Path]:
    """Complete pauses, newest last. There is more than one only if an agent ended while it removed the older one."""
    found = [path for path in machine_dir.glob(f"{PREFIX}*") if path.is_dir()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def readable(machine_dir: Path) -> list[PauseManifest]:
    """What those say of themselves, as far as that can be read."""
    found = []
    for folder in pauses(machine_dir):
        with contextlib.suppress(ManifestError):
            found.append(manifests.read_pause(folder))
    return found


def discard_pauses(machine_dir: Path) -> None:
    """Forgets every pause and every unfinished one: the machine runs, and what was saved no longer fits its disk."""
    for pattern in (f"{PREFIX}*", f"{UNFINISHED}*"):
        for path in machine_dir.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def is_complete(machine_dir: Path) -> bool:
    """Whether there is a pause that fits its disk. Checksums are proved when it is resumed."""
    try:
        fitting(machine_dir)
    except (ManifestError, OSError, ValueError):
        return False
    return True


def fitting(machine_dir: Path) -> tuple[Path, PauseManifest]:
    """The last complete pause, if its disk was not written to after it. Raises: ManifestError, OSError, ValueError."""
    folder, manifest = latest(machine_dir)
    if manifest.disk_stamp != disks.stamp(layers.overlay(machine_dir)):
        raise ManifestError("the disk was written to after its memory was saved")
    return folder, manifest


def latest(machine_dir: Path) -> tuple[Path, PauseManifest]:
    """The last complete pause. Raises: ManifestError, also if the machine's note tells of another disk."""
    found = pauses(machine_dir)
    if not found:
        raise ManifestError(f"{machine_dir}: nothing was saved")
    manifest = manifests.read_pause(found[-1])
    require_disk(machine_dir, manifest)
    return found[-1], manifest


def require_disk(machine_dir: Path, manifest: PauseManifest) -> None:
    """Raises: ManifestError if the machine's note is damaged, or tells of another disk than what was saved of it."""
    try:
        chain = layers.read(machine_dir)
    except (OSError, ValueError) as error:
        raise ManifestError(str(error)) from error
    if manifest.overlay and chain != Chain(manifest.overlay, manifest.layers):
        raise ManifestError(f"{machine_dir}: the note says {chain}, the pause {manifest.overlay} {manifest.layers}")


def load(folder: Path, manifest: PauseManifest, ram_bytes: int) -> SavedMemory:
    """Reads a pause and proves its checksums. Blocks. Raises: ManifestError, OSError."""
    runs, content = load_pages(folder, manifest.files, ram_bytes)
    return SavedMemory(manifest, runs, content, open_state(folder, manifest.files))


def load_pages(folder: Path, files: Mapping[str, FileSum], ram_bytes: int) -> tuple[Runs, memoryview]:
    """The pages that were saved in a folder, proved. They are mapped, not copied: whoever puts them in shares the
    kernel's pages of the file with everybody else who does. Blocks. Raises: ManifestError, OSError."""
    try:
        with (folder / MEMORY).open("rb") as file:
            stored = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        manifests.check(MEMORY, files[MEMORY], manifests.sum_of_bytes(stored))
    except (KeyError, FileNotFoundError, ValueError) as error:
        raise ManifestError(f"{folder}: incomplete: {error!r}") from error
    count = int(np.frombuffer(stored, np.uint64, 1)[0])
    if 8 + count * 8 > len(stored):
        raise ManifestError(f"{folder}: {MEMORY} is not what it should be")
    runs = np.frombuffer(stored, np.uint32, count * 2, 8).reshape(-1, 2)
    content = stored[8 + runs.nbytes :]
    ends = runs.astype(np.uint64).sum(axis=1)
    if len(content) != int(runs[:, 1].sum()) * PAGE or (count and int(ends.max()) * PAGE > ram_bytes):
        raise ManifestError(f"{folder}: {MEMORY} does not fit {ram_bytes} bytes of RAM")
    return runs, content


def open_state(folder: Path, files: Mapping[str, FileSum]) -> int:
    """The device state that was saved in a folder, proved; the caller closes it. Raises: ManifestError, OSError."""
    try:
        manifests.check(STATE, files[STATE], manifests.sum_of_file(folder / STATE, STATE_BYTES_MAX))
        return os.open(folder / STATE, os.O_RDONLY | os.O_CLOEXEC)
    except (KeyError, FileNotFoundError) as error:
        raise ManifestError(f"{folder}: incomplete: {error!r}") from error


def _header(runs: Runs) -> memoryview:
    return memoryview(np.uint64(len(runs)).tobytes() + runs.tobytes())


def _sum_beginning(fd: int, size: int, update: Callable[[bytes], None]) -> None:
    for offset in range(0, size, CHUNK_BYTES):
        update(os.pread(fd, min(CHUNK_BYTES, size - offset), offset))


def _write_all(fd: int, view: memoryview) -> None:
    done = 0
    while done < len(view):
        done += os.write(fd, view[done:])

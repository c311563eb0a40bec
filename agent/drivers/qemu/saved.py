"""A paused machine on disk: `pause-<incarnation>/{memory,state,manifest.json}` in its sandbox's folder.

It is complete or it is not there: it is written under another name, synced and renamed. It holds every page that is
the machine's own, so it stands on its image alone, however often the machine was paused before.
"""

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np

from agent.drivers.qemu import disks, manifests
from agent.drivers.qemu.manifests import FileSum, ManifestError, PauseManifest
from agent.drivers.qemu.ram import PAGE, Base, MappedRam, Runs

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
    """A pause that is being written. Nothing of it counts before `publish`."""

    state_fd = -1

    def __init__(self, machine_dir: Path, incarnation: UUID) -> None:
        self._final = machine_dir / f"{PREFIX}{incarnation}"
        self._folder = machine_dir / f"{UNFINISHED}{incarnation}"
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

    def save_memory(self, ram: MappedRam, base: Base) -> FileSum:
        """Writes and syncs the machine's own pages; the machine must stand still."""
        runs = ram.dirty()
        if base is Base.EMPTY:
            runs = ram.without_zeros(runs)
        pages = memoryview(ram.read(runs))[: int(runs[:, 1].sum()) * PAGE]
        header = np.uint64(len(runs)).tobytes() + runs.tobytes()
        fd = os.open(self._folder / MEMORY, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, memoryview(header))
            _write_all(fd, pages)
            os.fsync(fd)
        finally:
            os.close(fd)
        return manifests.sum_of_bytes(header, pages)

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

    def publish(self, manifest: PauseManifest) -> None:
        """The pause is there from here on, also after a power failure; older ones are removed.

        Raises: OSError; nothing is published then.
        """
        manifests.write(self._folder, manifest)
        manifests.sync_folder(self._folder)
        self._folder.rename(self._final)
        manifests.sync_folder(self._final.parent)
        for older in pauses(self._final.parent):
            if older != self._final:
                shutil.rmtree(older, ignore_errors=True)

    def withdraw(self) -> None:
        """Undoes `publish`: the machine runs on, so what was saved will fit its disk no longer. May be repeated."""
        shutil.rmtree(self._final, ignore_errors=True)

    def close(self) -> None:
        """Removes what was not published. May be repeated."""
        if self.state_fd >= 0:
            os.close(self.state_fd)
            self.state_fd = -1
        shutil.rmtree(self._folder, ignore_errors=True)


def pauses(machine_dir: Path) -> list[Path]:
    """Complete pauses, newest last. There is more than one only if an agent ended while it removed the older one."""
    found = [path for path in machine_dir.glob(f"{PREFIX}*") if path.is_dir()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def discard_pauses(machine_dir: Path) -> None:
    """Forgets every pause and every unfinished one: the machine runs, and what was saved no longer fits its disk."""
    for pattern in (f"{PREFIX}*", f"{UNFINISHED}*"):
        for path in machine_dir.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def is_complete(machine_dir: Path) -> bool:
    """Whether there is a pause that fits its disk. Checksums are proved when it is resumed."""
    try:
        _, manifest = latest(machine_dir)
        return manifest.disk_stamp == disks.stamp(machine_dir / disks.OVERLAY)
    except (ManifestError, OSError):
        return False


def latest(machine_dir: Path) -> tuple[Path, PauseManifest]:
    """The last complete pause. Raises: ManifestError."""
    found = pauses(machine_dir)
    if not found:
        raise ManifestError(f"{machine_dir}: nothing was saved")
    return found[-1], manifests.read_pause(found[-1])


def load(folder: Path, manifest: PauseManifest, ram_bytes: int) -> SavedMemory:
    """Reads a pause and proves its checksums. Blocks. Raises: ManifestError, OSError."""
    try:
        stored = (folder / MEMORY).read_bytes()
        manifests.check(MEMORY, manifest.files[MEMORY], manifests.sum_of_bytes(stored))
        manifests.check(STATE, manifest.files[STATE], manifests.sum_of_file(folder / STATE, STATE_BYTES_MAX))
        state_fd = os.open(folder / STATE, os.O_RDONLY | os.O_CLOEXEC)
    except (KeyError, FileNotFoundError) as error:
        raise ManifestError(f"{folder}: incomplete: {error!r}") from error
    count = int(np.frombuffer(stored, np.uint64, 1)[0])
    runs = np.frombuffer(stored, np.uint32, count * 2, 8).reshape(-1, 2)
    content = memoryview(stored)[8 + runs.nbytes :]
    ends = runs.astype(np.uint64).sum(axis=1)
    if len(content) != int(runs[:, 1].sum()) * PAGE or (count and int(ends.max()) * PAGE > ram_bytes):
        os.close(state_fd)
        raise ManifestError(f"{folder}: {MEMORY} does not fit {ram_bytes} bytes of RAM")
    return SavedMemory(manifest, runs, content, state_fd)


def _write_all(fd: int, view: memoryview) -> None:
    done = 0
    while done < len(view):
        done += os.write(fd, view[done:])

"""Disks: qcow2 overlays, each written by a few lines here instead of by a process of its own."""

import contextlib
import errno
import os
import resource
import struct
from pathlib import Path

from agent.errors import AgentError, Code

OVERLAY = "overlay.qcow2"
DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})

# docs/interop/qcow2.txt in QEMU: version 3, clusters of 64 KiB, references counted in 16 bits.
_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_HEADER, _ENTRIES_FIELD = struct.Struct(">4sIQIIQIIQQIIQQQQII"), 7
_REFERENCE_BITS_LOG2 = 4
_REFERENCES, _REFERENCE_BLOCK, _L1 = _CLUSTER, 2 * _CLUSTER, 3 * _CLUSTER
_L1_COVERS_BYTES = _CLUSTER * (_CLUSTER // 8)  # an entry: a table of addresses of clusters
_REFERENCE_BLOCK_COVERS_BYTES = _CLUSTER * (_CLUSTER * 8 >> _REFERENCE_BITS_LOG2)
SCATTERED = 3
"""In how many times its disk's size the clusters of an overlay may lie scattered. QEMU looks for neighbours for what is
written at once, and what the guest has freed lies here and there: the file grows beyond the disk's size, though its
freed blocks are the host's again. Of full disks that were freed and written again at random it had 1.8 times their size
with writes of 1 MiB, 2.5 with up to 16 MiB (`qemu-io`, QEMU 7.2). A guest that means to may come farther, and gets
errors from its disk then."""
_FILE_SIZE = "Max file size"  # in /proc/PID/limits
_SPARE_BYTES = 64 << 20
"""Former copies of the tables in front, which are written anew when they grow (a MiB of them tells of 64 TiB), and
device state, which is written under the same limit (`saved.STATE_BYTES_MAX`)."""


def make_overlay(path: Path, size_mb: int) -> None:
    """An empty qcow2 of that size without a backing file in its header: machines are told their chain
    (`arguments.Disk`), and it may be larger than what lies under it. Takes 0.1 ms and three blocks.

    Raises: OSError, FileExistsError among them; no file is left.
    """
    size = size_mb << 20
    entries = -(-size // _L1_COVERS_BYTES)
    clusters = _clusters(entries)
    header = _HEADER.pack(
        *(b"QFI\xfb", 3),
        *(0, 0),  # no backing file
        *(_CLUSTER_BITS, size),
        0,  # not encrypted
        *(entries, _L1),
        *(_REFERENCES, 1),
        *(0, 0),  # no snapshots
        *(0, 0, 0),  # no features
        *(_REFERENCE_BITS_LOG2, _HEADER.size),
    )
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.truncate(fd, clusters * _CLUSTER)
        os.pwrite(fd, header, 0)
        os.pwrite(fd, struct.pack(">Q", _REFERENCE_BLOCK), _REFERENCES)
        os.pwrite(fd, struct.pack(">H", 1) * clusters, _REFERENCE_BLOCK)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(fd)


def is_untouched(path: Path) -> bool:
    """Whether an overlay is as it was made: nothing was ever written to it. Raises: OSError."""
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return False
        entries = _HEADER.unpack(header)[_ENTRIES_FIELD]
        return os.fstat(file.fileno()).st_size == _clusters(entries) * _CLUSTER


def _clusters(entries: int) -> int:
    """What lies before the first that is written to: header, references and the table with so many entries."""
    return int(_L1 + entries * 8 + _CLUSTER - 1) // _CLUSTER


def overlay_bytes_max(size_mb: int) -> int:
    """How large the file of an overlay of that size gets: clusters, and what qcow2 says of them. That is a table of 64
    KiB for each 512 MiB of the disk, and a block of references of 64 KiB for each 2 GiB of the file."""
    size = size_mb << 20
    clusters = SCATTERED * size + _CLUSTER * (-(-size // _L1_COVERS_BYTES))
    return clusters + _CLUSTER * (-(-clusters // _REFERENCE_BLOCK_COVERS_BYTES)) + _SPARE_BYTES


def bound(pid: int, size_mb: int) -> None:
    """From now on a QEMU can make no file larger than the overlay of a disk of that size; what lies beyond fails with
    EFBIG. It cannot raise this itself. Raises: OSError; PermissionError without CAP_SYS_RESOURCE."""
    size = overlay_bytes_max(size_mb)
    if _limits(pid) != (str(size), str(size)):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))


def _limits(pid: int) -> tuple[str, str]:
    """The soft and the hard one on files, which everybody may read there."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    soft, hard = next(line for line in lines if line.startswith(_FILE_SIZE)).removeprefix(_FILE_SIZE).split()[:2]
    return soft, hard


def blocks_of(path: Path) -> int:
    """Bytes of the blocks that a file, or everything in a folder, takes on the disk. What goes meanwhile counts as
    nothing."""
    total = 0
    for each in (path, *path.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            total += each.lstat().st_blocks * 512
    return total


def stamp(overlay: Path) -> list[int]:
    """Changes whenever the disk was written to: what was saved of memory fits no other disk."""
    status = overlay.stat()
    return [status.st_size, status.st_mtime_ns]


def disk_error(error: OSError, code: Code, message: str) -> AgentError:
    """DISK_FULL if that is what happened, else `code`."""
    if error.errno in DISK_FULL_ERRNOS:
        return AgentError(Code.DISK_FULL, "The host's disk is full.", detail=str(error))
    return AgentError(code, message, detail=str(error))

"""Disks: qcow2 overlays, each written by a few lines here instead of by a process of its own."""

import contextlib
import errno
import os
import struct
from pathlib import Path

OVERLAY = "overlay.qcow2"
DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})

# docs/interop/qcow2.txt in QEMU: version 3, clusters of 64 KiB, references counted in 16 bits.
_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_REFERENCE_BITS_LOG2 = 4
_REFERENCES, _REFERENCE_BLOCK, _L1 = _CLUSTER, 2 * _CLUSTER, 3 * _CLUSTER
_L1_COVERS_BYTES = _CLUSTER * (_CLUSTER // 8)  # an entry: a table of addresses of clusters


def make_overlay(path: Path, size_mb: int) -> None:
    """An empty qcow2 of that size without a backing file in its header: machines are told their chain
    (`arguments.Disk`), and it may be larger than what lies under it. Takes 0.1 ms and three blocks.

    Raises: OSError, FileExistsError among them; no file is left.
    """
    size = size_mb << 20
    entries = -(-size // _L1_COVERS_BYTES)
    clusters = (_L1 + entries * 8 + _CLUSTER - 1) // _CLUSTER
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


def stamp(overlay: Path) -> list[int]:
    """Changes whenever the disk was written to: what was saved of memory fits no other disk."""
    status = overlay.stat()
    return [status.st_size, status.st_mtime_ns]

"""A folder that lies in memory: files there cost no wait for a disk, and are gone with the computer.

For many small files that are synced again and again: PostgreSQL's, and those of agents with simulated machines. Disks
of guests are too large for it.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")
FREE_BYTES_MIN = 1 << 30
"""Containers often have 64 MB. A run takes about 300 MB at once."""


@contextmanager
def folder() -> Iterator[Path]:
    """A new one that every account can pass through, and that is removed afterwards. On disk, if memory lacks room."""
    made = Path(tempfile.mkdtemp(prefix="nestbox-test-", dir=_MEMORY if _has_room() else None))
    try:
        made.chmod(0o711)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _has_room() -> bool:
    return _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= FREE_BYTES_MIN

"""The data directory: everything that the platform keeps on this computer."""

import shutil
from pathlib import Path

from nestbox.errors import Problem

# Searchable, not readable: PostgreSQL and the machines run as other accounts and must reach what is theirs.
MODE = 0o711
# A new database takes 60 MB with its first log files. One that exists needs next to nothing to start, and people must
# be able to start it: deleting sandboxes is how they make room.
FRESH_MB_NEEDED = 128
MB_NEEDED = 8


def prepare_data_dir(path: Path) -> None:
    """Makes the data directory and its first folders, and sets their modes.

    Raises: Problem when that is not allowed.
    """
    try:
        for folder in (path, path / "agent", path / "api", path / "logs"):
            folder.mkdir(mode=MODE, parents=True, exist_ok=True)
        for folder in (path, path / "agent"):
            folder.chmod(MODE)
        for folder in (path / "api", path / "logs"):
            folder.chmod(0o700)
    except OSError as error:
        raise Problem(
            f"The data directory {path} cannot be used: {error.strerror}.",
            "Run as root, or choose another one with --data-dir or NESTBOX_DATA_DIR.",
        ) from error


def check_room(path: Path, *, fresh: bool) -> None:
    """Raises: Problem when the disk below the data directory is too full to start. `fresh`: it has no database yet."""
    needed_mb = FRESH_MB_NEEDED if fresh else MB_NEEDED
    free_mb = shutil.disk_usage(path).free / 1e6
    if free_mb < needed_mb:
        raise Problem(
            f"The disk is full: {free_mb:.0f} MB are free at {path}, and the start needs {needed_mb} MB.",
            "Free some space, or choose another place with --data-dir or NESTBOX_DATA_DIR.",
        )

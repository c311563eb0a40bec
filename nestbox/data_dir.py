"""The data directory: everything that the platform keeps on this computer."""

from pathlib import Path

from nestbox.errors import Problem

# Searchable, not readable: PostgreSQL and the machines run as other accounts and must reach what is theirs.
MODE = 0o711


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

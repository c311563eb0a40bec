"""What the simulated driver keeps beside its sandboxes: snapshots and templates, each a copy of a disk with a note.

A folder is complete once it bears its final name. Names are no ids of sandboxes, so that they are not taken for some.
"""

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
        shutil.copytree(disk, unfinished / _DISK)
        (unfinished / _NOTE).write_text(json.dumps(asdict(note)))
        unfinished.rename(self._path(kept_id))

    def drop(self, kept_id: UUID) -> None:
        """Forgets it. May be repeated."""
        shutil.rmtree(self._path(kept_id), ignore_errors=True)

    def all(self) -> frozenset[UUID]:
        """What is there."""
        prefix = f"{self._kind}-"
        return frozenset(UUID(path.name.removeprefix(prefix)) for path in self._folder.glob(f"{prefix}*"))

    def leftovers(self, known: frozenset[UUID]) -> list[Leftover]:
        """What is there and not known."""
        unknown = sorted(self.all() - known)
        return [
            Leftover(f"{self._folder.name}/{self._kind}-{kept_id}", 0, f"A {self._kind} of nothing.")
            for kept_id in unknown
        ]

    def _path(self, kept_id: UUID) -> Path:
        return self._folder / f"{self._kind}-{kept_id}"

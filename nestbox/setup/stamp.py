"""Remembers what a step was made from, so that it runs again only when that changed."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

_SKIPPED = {"node_modules", "dist", "__pycache__"}


def digest(root: Path, paths: Iterable[str], *facts: str) -> str:
    """A hash over the contents of files and folders below `root`, and over `facts`. What is missing counts too."""
    hasher = hashlib.sha256()
    for fact in facts:
        hasher.update(f"{fact}\0".encode())
    for path in paths:
        for file in _files(root / path):
            hasher.update(f"{file.relative_to(root)}\0".encode())
            hasher.update(hashlib.sha256(file.read_bytes()).digest())
    return hasher.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        return []
    found: list[Path] = []
    for entry in sorted(path.iterdir()):
        if entry.name not in _SKIPPED and not entry.is_symlink():
            found += _files(entry)
    return found


class Stamp:
    """A small JSON file next to what it describes: if that is removed, so is the stamp."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def says(self, name: str, value: str) -> bool:
        """Whether `name` was made from `value`."""
        return self._read().get(name) == value

    def set(self, **values: str) -> None:
        """Forgets everything and remembers `values`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(values, indent=1) + "\n")

    def clear(self) -> None:
        """Forgets everything: what it describes is about to change."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, str]:
        try:
            content = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

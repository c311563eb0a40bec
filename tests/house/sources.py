"""The files that the rules look at."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = ("api", "agent", "nestbox")
PYTHON = (*SHIPPED, "benchmarks", "tests", "alembic")
_SKIPPED = {"__pycache__", "node_modules", "dist", "gql", "screenshots"}


def files(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> Iterator[tuple[str, str]]:
    """Path from the root and text of every file below `folders`; generated ones are left out."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            relative = path.relative_to(ROOT)
            if path.suffix in suffixes and path.is_file() and not _SKIPPED.intersection(relative.parts):
                yield str(relative), path.read_text(encoding="utf-8")


def nearest_parent_names(path: str) -> set[str]:
    """The names of a file and of the folders it lies in, without suffix."""
    return {part.removesuffix(".py") for part in path.split("/")}

"""Tables on a terminal."""

from collections.abc import Sequence
from datetime import datetime


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines whose columns stand below each other; the last column is as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]


def minute(at: datetime | None) -> str:
    """A time to the minute, or `never`."""
    return f"{at:%Y-%m-%d %H:%M}" if at else "never"

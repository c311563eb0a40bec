"""Lists, as people read them in a terminal."""

from collections.abc import Sequence


def lines_of(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for the heading and one for each row, in columns; the last column is as wide as it is."""
    table = [heading, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heading) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in table
    ]

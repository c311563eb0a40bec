"""What was measured, as a table for people and as JSON for programs."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """Samples of one quantity, and the most that their median may be. Without a goal it is there to be read only."""

    name: str
    unit: str
    samples: Sequence[float]
    goal: float | None = None

    @property
    def median(self) -> float:
        """The median of the samples. Raises: statistics.StatisticsError if there are none."""
        return statistics.median(self.samples)

    @property
    def is_met(self) -> bool | None:
        """Whether the median keeps to the goal, to the digits that are shown; None without a goal."""
        return None if self.goal is None else round(self.median, 2) <= round(self.goal, 2)


def as_json(machine: dict[str, str | int], figures: Sequence[Figure]) -> dict[str, object]:
    """`{machine, figures: [{name, unit, min, median, max, goal, met}]}`; without a goal, goal and met are null."""
    return {
        "machine": machine,
        "figures": [
            {
                "name": figure.name,
                "unit": figure.unit,
                "min": round(min(figure.samples), 2),
                "median": round(figure.median, 2),
                "max": round(max(figure.samples), 2),
                "goal": None if figure.goal is None else round(figure.goal, 2),
                "met": figure.is_met,
            }
            for figure in figures
        ],
    }


def as_table(title: str, figures: Sequence[Figure]) -> Table:
    """The same for people."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure", overflow="fold")
    for column in ("min", "median", "max", "goal", "met"):
        table.add_column(column, justify="right", no_wrap=True)
    verdict = {None: "", True: "[green]yes[/green]", False: "[red]no[/red]"}
    for figure in figures:
        table.add_row(
            f"{figure.name}, {figure.unit}",
            *(f"{value:.1f}" for value in (min(figure.samples), figure.median, max(figure.samples))),
            "" if figure.goal is None else f"≤ {figure.goal:.1f}",
            verdict[figure.is_met],
        )
    return table

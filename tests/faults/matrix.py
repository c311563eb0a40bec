"""`python -m tests.faults.matrix`: every named step × every kind of fault, on real processes.

Fails on a violation of an invariant, on a platform that does not settle, and on a fault that never fired.
"""

import argparse
import asyncio
import itertools
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.faults import POINTS as AGENT_POINTS
from api.db.migrate import migrate
from nestbox.postgres import Postgres
from tests.faults.lane import Cell, Lane, Result
from tests.faults.points import API_POINTS, is_offered

KINDS = ("raise", "cancel", "kill", "twice")


def cells(pattern: str = "") -> list[Cell]:
    """All that match, commands by turns so that lanes have equal work."""
    points = [point for point in (*AGENT_POINTS, *API_POINTS) if is_offered(point)]
    every = [Cell(point, kind) for point in points for kind in KINDS]
    return [cell for cell in every if re.search(pattern, f"{cell.point} {cell.kind}")]


async def run(chosen: Sequence[Cell], lanes: int) -> list[Result]:
    """All of them, in so many lanes at once. A lane in which a platform did not settle is given up for a new one: what
    it left behind is not the next cell's fault."""
    left: Iterator[Cell] = iter(chosen)
    numbers = itertools.count()
    migrating = asyncio.Lock()  # Alembic keeps what it is at in a module: one at a time in a process
    results: list[Result] = []
    with Postgres.temporary() as postgres, tempfile.TemporaryDirectory(prefix="nestbox-faults-") as folder:

        async def work() -> None:
            while (cell := next(left, None)) is not None:
                name = f"lane_{next(numbers)}"
                async with migrating:
                    database_url = await _database(postgres, name)
                async with Lane.opened(database_url, Path(folder) / name) as lane:
                    while cell is not None:
                        start = time.monotonic()
                        result = await lane.try_out(cell)
                        results.append(result)
                        _tell(result, time.monotonic() - start)
                        cell = None if result.failure else next(left, None)

        async with asyncio.TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(work())
    return results


async def _database(postgres: Postgres, name: str) -> str:
    postgres.ensure_database(name)
    await migrate(postgres.url(name), postgres.owner_url(name))
    return postgres.url(name)


def _tell(result: Result, seconds: float) -> None:
    verdict = "good" if result.is_good else "NOT GOOD"
    print(f"{result.cell.point} {result.cell.kind}: {verdict}, {seconds:.1f} s", flush=True)
    if not result.fired:
        print("    it never fired")
    for line in (*map(str, result.violations), *([result.failure] if result.failure else [])):
        print(f"    {line}", flush=True)


def summary(results: Sequence[Result]) -> list[str]:
    """A line for each command, and one for all."""
    by_command: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_command[f"{result.cell.side} {result.cell.command}"].append(result)
    lines = []
    for command, found in [*sorted(by_command.items()), ("all", list(results))]:
        steps = len({result.cell.point for result in found})
        kinds = len({result.cell.kind for result in found})
        violations = sum(len(result.violations) + bool(result.failure) for result in found)
        silent = sum(not result.fired for result in found)
        lines.append(f"{command}: {steps} steps × {kinds} faults, {violations} violations, {silent} never fired")
    return lines


def main() -> int:
    """Runs what is asked for; 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="of `point kind`, such as 'agent.pause.* kill'")
    parser.add_argument("--lanes", type=int, default=3, help="platforms at once (default: %(default)s)")
    arguments = parser.parse_args()
    chosen = cells(arguments.only)
    results = asyncio.run(run(chosen, min(arguments.lanes, len(chosen))))
    print("\n".join(summary(results)))
    return 0 if results and all(result.is_good for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())

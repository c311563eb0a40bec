"""A small part of `make faults`: the whole matrix takes too long for the suite."""

from pathlib import Path

import pytest

from tests.faults.lane import Cell, Lane, Result
from tests.faults.matrix import KINDS, cells, summary
from tests.invariants.evidence import Violation

TRIED = [Cell("agent.pause.save", "kill"), Cell("agent.destroy.remove", "raise")]


@pytest.mark.timeout(180)
@pytest.mark.slow
async def test_a_fault_in_the_middle_of_a_command_breaks_nothing(database_url: str, tmp_path: Path) -> None:
    async with Lane.opened(database_url, tmp_path) as lane:
        for cell in TRIED:
            result = await lane.try_out(cell)
            assert result.is_good, result


def test_every_step_meets_every_kind_of_fault() -> None:
    every = cells()
    assert set(TRIED) <= set(every)
    assert len(every) == len({cell.point for cell in every}) * len(KINDS)


def test_the_summary_counts_violations_and_what_never_fired() -> None:
    cell = Cell("agent.pause.save", "raise")
    results = [
        Result(cell, fired=True, violations=[Violation(4, None, "it does not run")]),
        Result(Cell("agent.pause.save", "kill"), fired=False, violations=[]),
    ]
    assert summary(results)[-1] == "all: 1 steps × 2 faults, 1 violations, 1 never fired"
    assert not any(result.is_good for result in results)

"""Bad input again and again: whatever is kept of it would show in the memory of the program that answers it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.bad_input.cells import BUSY, Cell
from tests.bad_input.matrix import CELLS, ITEMS
from tests.bad_input.memory import held_mib
from tests.bad_input.place import Place
from tests.bad_input.senders import Senders, sending

GROWTH_MIB_MAX = 10.0
"""Of one program over all repeats of one row."""
THOROUGH = 1000
"""Repeats of every cell, however dear, where there is time."""
WARM_UP = 40
"""Repeats of each cell first, or all of them: caches fill, the allocator finds out what it needs."""
ROUNDS = 2
LANES = 4
"""At once, so that neither side waits for the other. Each has connections of its own."""
ROWS = [row for row in ITEMS if any(cell.row == row for cell in CELLS)]

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


async def _send_all(lanes: list[Senders], cells: dict[Cell, int]) -> None:
    """Sends each of these so often, one kind after the other, in all lanes at once."""

    async def lane(senders: Senders, cell: Cell, turns: Iterator[int]) -> None:
        for _ in turns:
            answer = await cell.send(senders)
            if answer.outcome == BUSY:
                answer = await cell.send(senders)
            assert answer.outcome in cell.outcomes, (cell.id, answer)

    for cell, count in cells.items():
        turns = iter(range(count))
        async with asyncio.TaskGroup() as group:
            for senders in lanes:
                group.create_task(lane(senders, cell, turns))


async def _growth(place: Place, row: str, repeats: Callable[[Cell], int]) -> dict[str, float]:
    """What the programs hold more, in MiB, after all repeats of a row. What is kept would come with every round; what
    the allocator happened to need comes once."""
    cells = {cell: repeats(cell) for cell in CELLS if cell.row == row}
    programs = {"api": place.api.pid, "agent": place.agent.pid}
    async with AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(sending(place)) for _ in range(LANES)]
        await _send_all(lanes, {cell: min(WARM_UP, count) for cell, count in cells.items()})
        growth: dict[str, float] = {}
        for _ in range(ROUNDS):
            before = {name: held_mib(pid) for name, pid in programs.items()}
            await _send_all(lanes, cells)
            growth = {name: held_mib(pid) - before[name] for name, pid in programs.items()}
            if max(growth.values()) < GROWTH_MIB_MAX:
                break
        return growth


@pytest.mark.parametrize("row", ROWS)
async def test_nothing_is_kept_of_bad_input_however_often_it_comes(place: Place, row: str) -> None:
    growth = await _growth(place, row, lambda cell: cell.repeats)
    print(row, growth)
    assert max(growth.values()) < GROWTH_MIB_MAX, growth


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("row", ROWS)
async def test_nothing_is_kept_of_a_thousand_of_each(place: Place, row: str) -> None:
    growth = await _growth(place, row, lambda _: THOROUGH)
    print(row, growth)
    assert max(growth.values()) < GROWTH_MIB_MAX, growth

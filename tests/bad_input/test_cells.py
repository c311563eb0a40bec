"""Each cell once: a typed answer, soon, that changes nothing and tells nothing of the inside."""

import math
import re
import time

import pytest

from tests.bad_input.cells import BUSY, Cell
from tests.bad_input.matrix import CELLS
from tests.bad_input.memory import forget_peak, held_mib, peak_mib
from tests.bad_input.place import Place
from tests.bad_input.senders import Senders

SECONDS_MAX = 1.0
PEAK_MIB_MAX = 32.0
"""Of one program while it answers one cell: a body of 1 MiB, decoded, is some of them."""
INSIDES = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|asyncpg|sqlalchemy|grpc\._|<[a-z_.]+ object at|SELECT |INSERT |postgresql",
    re.IGNORECASE,
)
ATTEMPTS = 3
"""Until one is soon: what else the computer has to do is not measured."""
CLIENT_SECONDS = {"10,000 subscriptions": 10.0, "slow sender": 2.0, "100 MB message": 4.0}
"""Of these the client itself takes most, which sends so much or opens so many."""

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
async def test_a_bad_input_gets_a_typed_answer_soon_and_changes_nothing(
    place: Place, senders: Senders, cell: Cell
) -> None:
    before = await place.rows()
    programs = {"api": place.api.pid, "agent": place.agent.pid}
    held = {name: held_mib(pid) for name, pid in programs.items()}
    for pid in programs.values():
        forget_peak(pid)
    limit = SECONDS_MAX + CLIENT_SECONDS.get(cell.item, 0.0)
    seconds = math.inf
    for _ in range(ATTEMPTS):
        started = time.perf_counter()
        answer = await cell.send(senders)
        if answer.outcome == BUSY:
            continue
        seconds = min(seconds, time.perf_counter() - started)
        assert answer.outcome in cell.outcomes, answer
        assert not INSIDES.search(answer.text), answer.text
        if seconds < limit:
            break
    assert seconds < limit
    assert await place.rows() == before
    for name, pid in programs.items():
        assert peak_mib(pid) - held[name] < PEAK_MIB_MAX, name


async def test_after_all_of_them_the_platform_is_as_it_was(place: Place) -> None:
    async with place.client as client:
        assert (await client.create())["state"] == "RUNNING"
        ran = await client.command("exec", "result { stdout }", sandboxId=place.running, argv=["echo", "well"])
    assert ran["result"]["stdout"] == "well\n"
    for program in (place.api, place.agent):
        assert program.runs
        assert not re.search(r"unexpected_error|Traceback|Exception in ASGI|Task exception", program.log)

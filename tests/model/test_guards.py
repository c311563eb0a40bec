"""Guards that hold in races which no real run meets often enough: each race is played here by hand."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest_asyncio

from api.db.commands import Acceptance, move, refuse
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import Action, Goal, State, accepted_in
from api.errors import Unavailable
from api.ids import DEFAULT_TEAM_ID, new_id
from api.services.commands import REVERSALS
from tests.api.running import Running, host_running, services_running


@pytest_asyncio.fixture
async def running(database_url: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with host_running(tmp_path / "agent") as (_, address), services_running(database_url, address) as found:
        yield found


async def test_a_late_refusal_does_not_take_back_a_later_command(running: Running) -> None:
    """Pause, resume, pause: the refusal of the first pause comes when the second one is under way."""
    sandbox = await running.created()
    first = new_id()
    database = running.services.resources.database
    now = running.clock.now()

    async def paused(operation_id: UUID) -> None:
        deadline = now + timedelta(minutes=5)
        acceptance = Acceptance(operation_id, OperationKind.PAUSE, DEFAULT_TEAM_ID, "key-x", now, deadline, None, None)
        sources = accepted_in(Action.PAUSE)
        accepted = await move(
            database, acceptance, sandbox.id, target=State.PAUSING, goal=Goal.PAUSED, sources=sources, needs_host=True
        )
        assert accepted is not None

    await paused(first)
    # the first pause fails on its host, whose report says so
    await running.database.execute("UPDATE sandboxes SET state = 'running', goal = 'running' WHERE id = $1", sandbox.id)
    second = new_id()
    await paused(second)
    reversal = REVERSALS[OperationKind.PAUSE]
    assert await refuse(database, first, reversal, Unavailable("The host could not."), now) is None
    found = await running.get(sandbox.id)
    assert (found.state, found.goal, found.generation) == (State.PAUSING, Goal.PAUSED, sandbox.generation + 2)
    operation = await running.services.operations.get(running.principal, second)
    assert operation is not None
    assert operation.state is OperationState.RUNNING

"""Every command in every state: it is accepted exactly where the table of moves says so, and else changes nothing."""

from itertools import product
from uuid import UUID

import asyncpg
import pytest

from api.domain.sandbox import MOVES, Action, Cause, Goal, Move, Owner, State, accepted_in
from api.errors import Conflict
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, new_id
from tests.api.running import Running

COMMANDS = (Action.PAUSE, Action.RESUME, Action.START, Action.DELETE, Action.SET_TIMEOUT)
_TARGETS = {
    Action.PAUSE: State.PAUSING,
    Action.RESUME: State.RESUMING,
    Action.START: State.STARTING,
    Action.DELETE: State.DELETING,
}


async def _sandbox(database: asyncpg.Connection, host_id: UUID, state: State) -> UUID:
    sandbox_id = new_id()
    await database.execute(
        """INSERT INTO sandboxes (id, team_id, template_id, host_id, vcpus, memory_mb, disk_size_mb, goal,
            generation, state, cause, sequence, created_at, updated_at, deleted_at)
        VALUES ($1, $2, $3, $4, 1, 512, 5120, $5, 1, $6, 'user', 0, now(), now(), CASE WHEN $6 = 'deleted'
            THEN now() END)""",
        sandbox_id,
        DEFAULT_TEAM_ID,
        BASE_TEMPLATE_ID,
        host_id,
        Goal.RUNNING,
        state,
    )
    return sandbox_id


@pytest.mark.parametrize(("action", "state"), list(product(COMMANDS, State)))
async def test_a_command_does_what_the_table_says(lonely: Running, action: Action, state: State) -> None:
    host_id = new_id()
    await lonely.database.execute(
        "INSERT INTO hosts (id, name, address, reachable, cpu_count, created_at) VALUES ($1, 'h', 'a', true, 1, now())",
        host_id,
    )
    sandbox_id = await _sandbox(lonely.database, host_id, state)
    before = await lonely.get(sandbox_id)
    commands = lonely.services.sandboxes
    try:
        if action is Action.SET_TIMEOUT:
            await lonely.services.timeouts.set(lonely.principal, sandbox_id, 60)
        elif action is Action.PAUSE:
            await commands.pause(lonely.principal, sandbox_id, wait_seconds=0)
        elif action is Action.RESUME:
            await commands.resume(lonely.principal, sandbox_id, wait_seconds=0)
        elif action is Action.START:
            await commands.start(lonely.principal, sandbox_id, wait_seconds=0)
        else:
            await commands.delete(lonely.principal, sandbox_id, wait_seconds=0)
        accepted = True
    except Conflict as refused:
        assert refused.code == "WRONG_STATE"  # noqa: PT017 - either way may be right
        accepted = False
    after = await lonely.get(sandbox_id)
    going = action is Action.DELETE and state in {State.DELETING, State.DELETED}
    assert accepted == (state in accepted_in(action) and not going)
    if not accepted:
        assert after == before
    elif action is Action.SET_TIMEOUT:
        assert (after.state, after.timeout_sec) == (state, 60)
        assert after.generation == before.generation + (state in {State.RUNNING, State.PAUSING})
    else:
        assert after.state is _TARGETS[action]
        assert after.generation == before.generation + 1
        assert Cause.USER in MOVES[Move(state, after.state, Owner.API)]

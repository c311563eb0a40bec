"""Every command in every state: it is accepted exactly where the table of moves says so, and else changes nothing."""

from itertools import product
from uuid import UUID

import asyncpg
import pytest

from api.domain.sandbox import MOVES, Action, Cause, ForkSandbox, Goal, Move, Owner, State, accepted_in
from api.errors import Conflict
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, new_id
from tests.api.running import Running

COMMANDS = (
    Action.PAUSE,
    Action.RESUME,
    Action.START,
    Action.DELETE,
    Action.SET_TIMEOUT,
    Action.CREATE_TEMPLATE,
    Action.FORK,
)
_TARGETS = {
    Action.PAUSE: State.PAUSING,
    Action.RESUME: State.RESUMING,
    Action.START: State.STARTING,
    Action.DELETE: State.DELETING,
    Action.CREATE_TEMPLATE: State.SNAPSHOTTING,
    Action.FORK: State.SNAPSHOTTING,
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


async def _ask(lonely: Running, action: Action, sandbox_id: UUID) -> None:
    services, principal = lonely.services, lonely.principal
    match action:
        case Action.SET_TIMEOUT:
            await services.timeouts.set(principal, sandbox_id, 60)
        case Action.PAUSE:
            await services.sandboxes.pause(principal, sandbox_id, wait_seconds=0)
        case Action.RESUME:
            await services.sandboxes.resume(principal, sandbox_id, wait_seconds=0)
        case Action.START:
            await services.sandboxes.start(principal, sandbox_id, wait_seconds=0)
        case Action.DELETE:
            await services.sandboxes.delete(principal, sandbox_id, wait_seconds=0)
        case Action.CREATE_TEMPLATE:
            await services.templates.create(principal, sandbox_id, "made", wait_seconds=0)
        case Action.FORK:
            await services.forks.create(principal, ForkSandbox(sandbox_id, count=2, wait_seconds=0))
        case _:
            raise ValueError(action)


@pytest.mark.parametrize(("action", "state"), list(product(COMMANDS, State)))
async def test_a_command_does_what_the_table_says(lonely: Running, action: Action, state: State) -> None:
    host_id = new_id()
    await lonely.database.execute(
        "INSERT INTO hosts (id, name, address, reachable, cpu_count, created_at) VALUES ($1, 'h', 'a', true, 1, now())",
        host_id,
    )
    sandbox_id = await _sandbox(lonely.database, host_id, state)
    before = await lonely.get(sandbox_id)
    try:
        await _ask(lonely, action, sandbox_id)
        accepted = True
    except Conflict as refused:
        assert refused.code == "WRONG_STATE"  # noqa: PT017 - either way may be right
        accepted = False
    after = await lonely.get(sandbox_id)
    going = action is Action.DELETE and state in {State.DELETING, State.DELETED}
    assert accepted == (state in accepted_in(action) and not going)
    children = await lonely.database.fetchval("SELECT count(*) FROM sandboxes WHERE parent_id = $1", sandbox_id)
    made = await lonely.database.fetchval("SELECT count(*) FROM templates WHERE source_sandbox_id = $1", sandbox_id)
    assert children == (2 if accepted and action is Action.FORK else 0)
    assert made == (1 if accepted and action is Action.CREATE_TEMPLATE else 0)
    if not accepted:
        assert after == before
    elif action is Action.SET_TIMEOUT:
        assert (after.state, after.timeout_sec) == (state, 60)
        assert after.generation == before.generation + (state in {State.RUNNING, State.PAUSING})
    else:
        assert after.state is _TARGETS[action]
        assert after.generation == before.generation + 1
        assert Cause.USER in MOVES[Move(state, after.state, Owner.API)]

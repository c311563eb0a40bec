"""A replica whose time of day is set wrong: nothing expires before its time, and nothing waits for hours."""

from datetime import timedelta
from uuid import UUID

import pytest

from api.db.commands import Acceptance, move
from api.domain.command import ExecCommand
from api.domain.operation import OperationKind
from api.domain.principal import Scope
from api.domain.sandbox import Action, Goal, State, accepted_in
from api.ids import DEFAULT_TEAM_ID, new_id
from tests.agent.serving import Served
from tests.api.reconciler.conftest import passes
from tests.api.running import Running

JUMPS = [timedelta(hours=-2), timedelta(hours=2), timedelta(days=3650)]


async def _accepted_and_not_sent(running: Running, sandbox_id: UUID) -> None:
    """A pause that the replica which accepted it did not come to."""
    now = running.clock.now()
    acceptance = Acceptance(new_id(), OperationKind.PAUSE, DEFAULT_TEAM_ID, "key-x", now, now, None, None)
    database = running.services.resources.database
    sources = accepted_in(Action.PAUSE)
    assert await move(
        database, acceptance, sandbox_id, target=State.PAUSING, goal=Goal.PAUSED, sources=sources, needs_host=True
    )


async def _unknown_to_its_host(running: Running, sandbox_id: UUID) -> UUID:
    """A row as that of a sandbox, of which there is no machine."""
    row_id = new_id()
    columns = await running.database.fetchval(
        """SELECT string_agg(attname, ', ') FROM pg_attribute
        WHERE attrelid = 'sandboxes'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"""
    )
    await running.database.execute(
        f"""INSERT INTO sandboxes ({columns}) SELECT {columns} FROM (
            SELECT (jsonb_populate_record(s, jsonb_build_object('id', $2::uuid))).* FROM sandboxes s WHERE id = $1
        ) copy""",  # noqa: S608 - names of columns
        sandbox_id,
        row_id,
    )
    return row_id


@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_nothing_expires_when_the_clock_is_set(running: Running, served: Served, jump: timedelta) -> None:
    sandbox = await running.created(timeout_sec=3600)
    started, accepted = await running.created(), await running.created()
    lost = await _unknown_to_its_host(running, started.id)
    await _accepted_and_not_sent(running, accepted.id)
    await passes(running, 1)
    before = await running.database.fetchval("SELECT count(*) FROM events")
    running.clock.set_by = jump
    await passes(running, 3)
    assert (await running.get(lost)).state is State.RUNNING
    assert (await running.get(accepted.id)).state is State.PAUSING
    assert await running.database.fetchval("SELECT count(*) FROM events") == before
    ran = await running.services.exec.run(running.principal, sandbox.id, ExecCommand(argv=("true",)))
    assert ran.exit_code == 0
    key = await running.services.api_keys.create(running.principal, "test", frozenset({Scope.READ}), None)
    await running.services.auth.authenticate(f"Bearer {key.text}")
    assert {machine.generation for machine in (await served.inventory()).values()} == {1}


@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_what_is_stuck_is_found_as_soon_as_ever(running: Running, jump: timedelta) -> None:
    started, accepted = await running.created(), await running.created()
    lost = await _unknown_to_its_host(running, started.id)
    await _accepted_and_not_sent(running, accepted.id)
    running.clock.set_by = jump
    await passes(running, 1)
    running.clock.offset += timedelta(seconds=11)
    await passes(running, 1)
    await running.comes_to(accepted.id, State.PAUSED)
    await running.comes_to(lost, State.STOPPED)
    assert (await running.get(started.id)).state is State.RUNNING

"""Rows and a host brought together, by real passes over a real agent."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from agent.machine import Cause as MachineCause
from api.db.commands import Acceptance, create, move
from api.domain.command import ExecCommand
from api.domain.feed import Changed
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import (
    UNREACHABLE,
    Action,
    Cause,
    CreateSandbox,
    Goal,
    SandboxFilter,
    State,
    accepted_in,
    check_creation,
    shown_state,
)
from api.errors import Unavailable
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, new_id
from api.reconciler import host as reconciler_host
from tests.agent.serving import Served
from tests.api.reconciler.conftest import passes
from tests.api.running import Running, agent_at, services_running
from tests.waiting import eventually


async def test_a_pause_of_the_host_is_recorded_as_a_command_of_the_system(running: Running, served: Served) -> None:
    sandbox = await running.created()
    await served.pause_all()
    paused = await running.comes_to(sandbox.id, State.PAUSED)
    assert (paused.cause, paused.goal, paused.generation) == (Cause.SHUTDOWN, Goal.PAUSED, sandbox.generation + 1)
    history = await running.events(sandbox.id)
    assert history[-1]["kind"] == "sandbox.report"
    assert history[-1]["actor"].startswith("host-")


async def test_what_happened_while_nobody_followed_is_found_in_the_inventory(
    database_url: str, host: tuple[Served, str]
) -> None:
    served, address = host
    async with services_running(database_url, address) as first:
        sandbox = await first.created()
    served.driver.crash(sandbox.id, MachineCause.OUT_OF_MEMORY, "It ran out of memory.")
    async with services_running(database_url, address) as second:
        stopped = await second.comes_to(sandbox.id, State.STOPPED)
    assert stopped.cause is Cause.OUT_OF_MEMORY


async def test_a_command_that_was_accepted_and_never_sent_is_sent(running: Running) -> None:
    sandbox = await running.created()
    operation_id = new_id()
    now = running.clock.now()
    acceptance = Acceptance(operation_id, OperationKind.PAUSE, DEFAULT_TEAM_ID, "key-x", now, now, None, None)
    accepted = await move(
        running.services.resources.database,
        acceptance,
        sandbox.id,
        target=State.PAUSING,
        goal=Goal.PAUSED,
        sources=accepted_in(Action.PAUSE),
        needs_host=True,
    )
    assert accepted is not None
    await passes(running, 1)
    running.clock.offset += timedelta(seconds=30)
    await passes(running, 1)
    await running.comes_to(sandbox.id, State.PAUSED)
    operation = await running.services.operations.get(running.principal, operation_id)
    assert operation is not None
    assert operation.state is OperationState.SUCCEEDED


async def test_a_create_that_was_accepted_and_never_sent_is_sent_once(running: Running, served: Served) -> None:
    operation_id, sandbox_id, now = new_id(), new_id(), running.clock.now()
    acceptance = Acceptance(operation_id, OperationKind.CREATE, DEFAULT_TEAM_ID, "key-x", now, now, None, None)
    wish = check_creation(CreateSandbox(environment=(("A", "b"),)))
    host_ids = running.services.resources.hosts.host_ids
    assert await create(running.services.resources.database, acceptance, sandbox_id, wish, host_ids) is not None
    await passes(running, 1)
    running.clock.offset += timedelta(seconds=30)
    await passes(running, 1)
    await running.comes_to(sandbox_id, State.RUNNING)
    operation = await running.services.operations.get(running.principal, operation_id)
    assert operation is not None
    assert operation.state is OperationState.SUCCEEDED
    ran = await running.services.exec.run(running.principal, sandbox_id, ExecCommand(argv=("env",)))
    assert b"A=b" in ran.stdout
    assert len(await served.inventory()) == 1


async def test_what_the_host_does_not_know_is_stopped_after_a_grace(running: Running, served: Served) -> None:
    sandbox = await running.created()
    row_id = new_id()
    await running.database.execute(
        """INSERT INTO sandboxes (id, team_id, template_id, host_id, vcpus, memory_mb, disk_size_mb, goal, generation,
            state, cause, created_at, updated_at)
        SELECT $2, team_id, template_id, host_id, vcpus, memory_mb, disk_size_mb, goal, generation, state, cause,
            created_at, updated_at FROM sandboxes s WHERE id = $1""",
        sandbox.id,
        row_id,
    )
    assert sandbox.host_id is not None
    running.services.commands._in_doubt(sandbox.host_id)
    await passes(running, 2)
    assert (await running.get(row_id)).state is State.RUNNING
    running.clock.offset += timedelta(minutes=1)
    running.services.commands._in_doubt(sandbox.host_id)
    stopped = await running.comes_to(row_id, State.STOPPED)
    assert stopped.cause is Cause.ORPHANED
    assert (await running.get(sandbox.id)).state is State.RUNNING


async def test_reconciling_twice_changes_nothing_more(running: Running) -> None:
    sandbox = await running.created()
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    before = await running.database.fetchval("SELECT count(*) FROM events")
    await passes(running, 3)
    assert await running.database.fetchval("SELECT count(*) FROM events") == before


async def test_a_silent_host_is_shown_and_comes_back_as_it_was(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler_host, "UNREACHABLE_AFTER_SECONDS", 0.2)
    monkeypatch.setattr(reconciler_host, "RETRY_SECONDS", 0.1)
    async with AsyncExitStack() as platform:
        agent = await platform.enter_async_context(AsyncExitStack())
        address = await agent.enter_async_context(agent_at(tmp_path / "agent"))
        running = await platform.enter_async_context(services_running(database_url, address))
        sandbox = await running.created()
        stream = running.services.feed.sandbox(running.principal, sandbox.id)
        await anext(stream)

        await agent.aclose()
        async with asyncio.timeout(20):
            silent = await anext(stream)
        assert isinstance(silent, Changed)
        assert shown_state(silent.sandbox) == UNREACHABLE
        assert silent.sandbox.state is State.RUNNING
        assert [check.ok for check in await running.services.health.ready()] == [True, False]
        criteria = SandboxFilter(states=frozenset({UNREACHABLE}))
        assert await running.services.sandboxes.count(running.principal, criteria) == 1
        with pytest.raises(Unavailable) as refused:
            await running.services.sandboxes.pause(running.principal, sandbox.id)
        assert refused.value.code == "HOST_UNREACHABLE"

        again = await platform.enter_async_context(AsyncExitStack())
        await again.enter_async_context(agent_at(tmp_path / "agent", address))
        async with asyncio.timeout(20):
            back = await anext(stream)
        assert isinstance(back, Changed)
        assert shown_state(back.sandbox) is State.RUNNING
        assert back.sandbox.version > silent.sandbox.version
        await stream.aclose()


async def test_a_delete_reaches_a_host_that_was_away(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler_host, "RETRY_SECONDS", 0.1)
    async with AsyncExitStack() as platform:
        agent = await platform.enter_async_context(AsyncExitStack())
        address = await agent.enter_async_context(agent_at(tmp_path / "agent"))
        running = await platform.enter_async_context(services_running(database_url, address))
        sandbox = await running.created()
        await agent.aclose()
        outcome = await running.services.sandboxes.delete(running.principal, sandbox.id, wait_seconds=0)
        assert outcome.sandbox.state is State.DELETING
        good = running.status()[0].last_success_at
        again = await platform.enter_async_context(AsyncExitStack())
        await again.enter_async_context(agent_at(tmp_path / "agent", address))
        await eventually(lambda: running.status()[0].last_success_at != good)
        running.clock.offset += timedelta(seconds=30)
        await passes(running, 1)
        deleted = await running.comes_to(sandbox.id, State.DELETED)
        assert deleted.last_operation is not None
        assert deleted.last_operation.state is OperationState.SUCCEEDED


async def test_two_replicas_follow_one_host_once(database_url: str, host: tuple[Served, str]) -> None:
    async with services_running(database_url, host[1]) as one, services_running(database_url, host[1]) as two:
        sandbox = await one.created()
        assert (await two.comes_to(sandbox.id, State.RUNNING)).version == sandbox.version
        summaries = sorted(replica.status()[0].summary for replica in (one, two))
        assert "another replica looks after this host" in summaries
        paused = await two.services.sandboxes.pause(one.principal, sandbox.id)
        assert paused.sandbox.state is State.PAUSED


async def test_a_sandbox_that_no_host_was_found_for_fails(lonely_reconciled: Running) -> None:
    running = lonely_reconciled
    ids = {state: new_id() for state in (State.PENDING, State.DELETING)}
    for state, sandbox_id in ids.items():
        await running.database.execute(
            """INSERT INTO sandboxes (id, team_id, template_id, vcpus, memory_mb, disk_size_mb, goal, state, cause,
                state_deadline_at, created_at, updated_at)
            VALUES ($1, $2, $3, 1, 512, 5120, 'running', $4, 'user', now(), now(), now())""",
            sandbox_id,
            DEFAULT_TEAM_ID,
            BASE_TEMPLATE_ID,
            state,
        )
    await running.comes_to(ids[State.DELETING], State.DELETED)
    assert (await running.get(ids[State.PENDING])).state is State.PENDING
    running.clock.offset += timedelta(seconds=30)
    failed = await running.comes_to(ids[State.PENDING], State.FAILED)
    assert (failed.cause, failed.detail) == (Cause.START_FAILED, "No host could be found for it.")

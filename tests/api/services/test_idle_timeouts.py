"""What the clock does to sandboxes that nobody uses, and what their users do about it."""

import asyncio
import json
from uuid import UUID

import pytest

from agent.drivers.simulated import Fail, Hang
from agent.errors import AgentError, Code
from api.domain.command import ExecCommand
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import Action, Cause, Goal, State, allowed_actions
from api.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from tests.agent.serving import Served
from tests.api.running import Running, other_team, principal_of
from tests.api.services.test_exec_and_files import chunks
from tests.waiting import eventually

TRUE = ExecCommand(argv=("true",))


async def _idle(running: Running, **changes: object) -> UUID:
    """A sandbox that its host has paused since nobody used it."""
    sandbox = await running.created(timeout_sec=1, **changes)
    await running.comes_to(sandbox.id, State.PAUSED)
    return sandbox.id


async def test_what_nobody_uses_is_paused_as_a_command_of_the_system(running: Running) -> None:
    sandbox = await running.created(timeout_sec=1)
    await eventually(lambda: _has_time(running, sandbox.id))
    paused = await running.comes_to(sandbox.id, State.PAUSED)
    assert (paused.cause, paused.goal, paused.auto_pause_at) == (Cause.IDLE_TIMEOUT, Goal.PAUSED, None)
    assert paused.generation == sandbox.generation + 1
    resumed = await running.services.sandboxes.resume(running.principal, sandbox.id)
    assert (resumed.sandbox.state, resumed.sandbox.timeout_sec) == (State.RUNNING, 1)
    await running.comes_to(sandbox.id, State.PAUSED)


async def _has_time(running: Running, sandbox_id: UUID) -> bool:
    return (await running.get(sandbox_id)).auto_pause_at is not None


async def test_a_timeout_is_told_to_the_host_and_shown(running: Running) -> None:
    sandbox = await running.created()
    assert sandbox.auto_pause_at is None
    set_ = await running.services.timeouts.set(running.principal, sandbox.id, 600)
    assert (set_.timeout_sec, set_.generation, set_.state) == (600, sandbox.generation + 1, State.RUNNING)
    assert set_.auto_pause_at is not None
    assert set_.version > sandbox.version
    never = await running.services.timeouts.set(running.principal, sandbox.id, 0)
    assert (never.timeout_sec, never.auto_pause_at) == (0, None)
    paused = await running.services.sandboxes.pause(running.principal, sandbox.id)
    assert paused.sandbox.state is State.PAUSED


async def test_the_timeout_of_what_is_paused_holds_once_it_is_resumed(running: Running) -> None:
    sandbox = await running.created()
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    noted = await running.services.timeouts.set(running.principal, sandbox.id, 1)
    assert (noted.state, noted.timeout_sec) == (State.PAUSED, 1)
    await running.services.sandboxes.resume(running.principal, sandbox.id)
    assert (await running.comes_to(sandbox.id, State.PAUSED)).cause is Cause.IDLE_TIMEOUT


@pytest.mark.parametrize("timeout_sec", [-1, 30 * 24 * 3600 + 1, 2**31, 2**63])
async def test_a_timeout_that_cannot_be_changes_nothing(running: Running, timeout_sec: int) -> None:
    sandbox = await running.created()
    with pytest.raises(Invalid) as refused:
        await running.services.timeouts.set(running.principal, sandbox.id, timeout_sec)
    assert (refused.value.code, refused.value.path) == ("INVALID", ("timeoutSec",))
    assert (await running.get(sandbox.id)).version == sandbox.version


async def test_a_timeout_of_another_team_or_of_what_is_gone_is_refused(running: Running) -> None:
    sandbox = await running.created()
    stranger = await principal_of(running.services, await other_team(running.database))
    with pytest.raises(NotFound):
        await running.services.timeouts.set(stranger, sandbox.id, 5)
    await running.services.sandboxes.delete(running.principal, sandbox.id)
    with pytest.raises(Conflict) as refused:
        await running.services.timeouts.set(running.principal, sandbox.id, 5)
    assert refused.value.code == "WRONG_STATE"


async def test_an_extension_beats_a_pause_that_has_begun(running: Running, served: Served) -> None:
    hang = Hang()
    served.driver.faults.inject("pause.save", hang)
    sandbox = await running.created(timeout_sec=1)
    await asyncio.wait_for(hang.reached.wait(), 20)
    extending = asyncio.ensure_future(running.services.timeouts.set(running.principal, sandbox.id, 600))
    await eventually(lambda: _extended(running, sandbox.id))
    hang.released.set()
    await extending
    await running.comes_to(sandbox.id, State.RUNNING)
    # what the host says a moment later changes nothing any more
    await running.services.exec.run(running.principal, sandbox.id, TRUE)
    row = await running.get(sandbox.id)
    assert (row.state, row.goal, row.timeout_sec) == (State.RUNNING, Goal.RUNNING, 600)


async def _extended(running: Running, sandbox_id: UUID) -> bool:
    return (await running.get(sandbox_id)).timeout_sec == 600


async def test_extensions_race_expiries_and_always_win(running: Running) -> None:
    made = await asyncio.gather(*(running.created(timeout_sec=1) for _ in range(12)))
    loop = asyncio.get_running_loop()
    begin = loop.time()
    looking = asyncio.Lock()  # there is one connection to look with

    async def extend(sandbox_id: UUID, after_seconds: float) -> bool:
        """Whether it was accepted before the sandbox was known to be paused."""
        await eventually(lambda: loop.time() >= begin + after_seconds)
        await running.services.timeouts.set(running.principal, sandbox_id, 600)
        async with looking:
            events = await running.events(sandbox_id)
        accepted = next(event for event in events if event["kind"] == "sandbox.set_timeout")
        return json.loads(accepted["before"])["state"] in {"running", "pausing"}

    # around the time at which the host's sweep finds them
    in_time = await asyncio.gather(*(extend(sandbox.id, 0.8 + 0.15 * index) for index, sandbox in enumerate(made)))
    assert any(in_time)
    for sandbox in (sandbox for sandbox, early in zip(made, in_time, strict=True) if early):
        extended = await running.comes_to(sandbox.id, State.RUNNING)
        assert (extended.goal, extended.timeout_sec) == (Goal.RUNNING, 600)
        assert (await running.services.exec.run(running.principal, sandbox.id, TRUE)).exit_code == 0


async def test_using_what_is_paused_resumes_it_where_that_is_wanted(running: Running) -> None:
    sandbox_id = await _idle(running, auto_resume=True)
    await running.services.timeouts.set(running.principal, sandbox_id, 600)
    results = await asyncio.gather(*(running.services.exec.run(running.principal, sandbox_id, TRUE) for _ in range(10)))
    assert {result.exit_code for result in results} == {0}
    resumed = await running.get(sandbox_id)
    assert (resumed.state, resumed.cause, resumed.goal) == (State.RUNNING, Cause.AUTO_RESUME, Goal.RUNNING)
    assert resumed.last_operation is not None
    assert (resumed.last_operation.kind, resumed.last_operation.actor) == (OperationKind.RESUME, "system")
    await running.services.sandboxes.pause(running.principal, sandbox_id)
    assert await running.services.files.write(running.principal, sandbox_id, "/root/a", chunks(b"abc")) == 3
    await running.services.sandboxes.pause(running.principal, sandbox_id)
    download = await running.services.files.open(running.principal, sandbox_id, "/root/a")
    assert b"".join([chunk async for chunk in download.content]) == b"abc"


async def test_what_cannot_be_resumed_for_use_says_why(running: Running, served: Served) -> None:
    sandbox = await running.created(auto_resume=True)
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    served.driver.faults.inject("resume.restore", Fail(AgentError(Code.IMAGE_MISMATCH, "It does not fit.")))
    with pytest.raises(Unavailable) as refused:
        await running.services.exec.run(running.principal, sandbox.id, TRUE)
    assert refused.value.message == "It does not fit."
    assert (await running.services.exec.run(running.principal, sandbox.id, TRUE)).exit_code == 0


async def test_a_stopped_sandbox_is_started_from_its_disk(running: Running, served: Served) -> None:
    sandbox = await running.created(timeout_sec=600)
    await running.services.files.write(running.principal, sandbox.id, "/root/kept", chunks(b"kept"))
    served.driver.crash(sandbox.id)
    stopped = await running.comes_to(sandbox.id, State.STOPPED)
    assert {entry.action for entry in allowed_actions(stopped) if entry.allowed} == {
        Action.START,
        Action.SET_TIMEOUT,
        Action.DELETE,
    }
    commands = running.services.sandboxes
    started = await commands.start(running.principal, sandbox.id, idempotency_key="s")
    assert (started.sandbox.state, started.operation.kind) == (State.RUNNING, OperationKind.START)
    assert (started.operation.state, started.sandbox.cause) == (OperationState.SUCCEEDED, Cause.USER)
    assert (await commands.start(running.principal, sandbox.id, idempotency_key="s")).operation == started.operation
    download = await running.services.files.open(running.principal, sandbox.id, "/root/kept")
    assert b"".join([chunk async for chunk in download.content]) == b"kept"
    with pytest.raises(Conflict) as refused:
        await commands.start(running.principal, sandbox.id)
    assert refused.value.message == "The sandbox is running."


async def test_a_start_that_fails_leaves_it_stopped(running: Running, served: Served) -> None:
    sandbox = await running.created()
    served.driver.crash(sandbox.id)
    await running.comes_to(sandbox.id, State.STOPPED)
    served.driver.faults.inject("boot.spawn", Fail(AgentError(Code.START_FAILED, "It did not come up.")))
    failed = await running.services.sandboxes.start(running.principal, sandbox.id)
    assert (failed.operation.state, failed.operation.error_message) == (OperationState.FAILED, "It did not come up.")
    stopped = await running.comes_to(sandbox.id, State.STOPPED)
    assert stopped.cause is Cause.START_FAILED
    assert (await running.services.sandboxes.start(running.principal, sandbox.id)).sandbox.state is State.RUNNING


async def test_what_is_not_as_its_user_wants_it_is_shown_to_admins(running: Running, served: Served) -> None:
    drifting, _ = await running.created(), await running.created()
    served.driver.crash(drifting.id)
    await running.comes_to(drifting.id, State.STOPPED)
    admin = await principal_of(running.services, admin=True)
    found = await running.services.hosts.drift(admin)
    assert [(row.sandbox_id, row.goal, row.state) for row in found] == [(drifting.id, Goal.RUNNING, State.STOPPED)]
    with pytest.raises(Forbidden):
        await running.services.hosts.drift(running.principal)

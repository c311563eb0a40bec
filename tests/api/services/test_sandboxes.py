"""Commands, as users give them."""

import asyncio

import pytest

from agent.drivers.driver import Death
from agent.drivers.simulated import Die, Fail, Hang
from agent.errors import AgentError, Code
from agent.machine import Cause as MachineCause
from api.domain.operation import OperationKind, OperationState
from api.domain.page import page_request
from api.domain.sandbox import Cause, CreateSandbox, Goal, SandboxFilter, State
from api.errors import Conflict, Invalid, NotFound, Unavailable
from api.ids import new_id
from tests.agent.serving import Served
from tests.api.running import Running, other_team, principal_of, services_running
from tests.waiting import eventually


async def test_a_sandbox_is_created_paused_resumed_and_deleted(running: Running) -> None:
    sandbox = await running.created(name="one", labels=(("a", "b"),), environment=(("X", "1"),))
    assert (sandbox.name, sandbox.labels, sandbox.goal) == ("one", {"a": "b"}, Goal.RUNNING)
    assert sandbox.last_operation is not None
    assert sandbox.last_operation.state is OperationState.SUCCEEDED
    assert {stage.name for stage in sandbox.last_operation.stages} >= {"restore", "guest"}
    commands = running.services.sandboxes
    for command, kind, state in (
        (commands.pause, OperationKind.PAUSE, State.PAUSED),
        (commands.resume, OperationKind.RESUME, State.RUNNING),
        (commands.delete, OperationKind.DELETE, State.DELETED),
    ):
        outcome = await command(running.principal, sandbox.id)
        assert (outcome.sandbox.state, outcome.operation.kind) == (state, kind)
        assert outcome.operation.state is OperationState.SUCCEEDED
    assert (await running.get(sandbox.id)).deleted_at is not None
    history = await running.events(sandbox.id)
    states = [row["after"] for row in history]
    assert len(states) == 8
    assert all(row["operation_id"] is not None for row in history)


async def test_a_repeated_key_returns_the_first_result(
    running: Running, database_url: str, host: tuple[Served, str]
) -> None:
    command = CreateSandbox(name="once", idempotency_key="key-1")
    first = await running.services.sandboxes.create(running.principal, command)
    again = await running.services.sandboxes.create(running.principal, command)
    assert (again.sandbox.id, again.operation.id) == (first.sandbox.id, first.operation.id)
    async with services_running(database_url, host[1], reconcile=False) as restarted:
        later = await restarted.services.sandboxes.create(running.principal, command)
    assert (later.sandbox.id, later.operation.id) == (first.sandbox.id, first.operation.id)
    with pytest.raises(Conflict) as conflict:
        await running.services.sandboxes.create(
            running.principal, CreateSandbox(name="another", idempotency_key="key-1")
        )
    assert conflict.value.code == "IDEMPOTENCY_CONFLICT"
    with pytest.raises(Conflict) as conflict:
        await running.services.sandboxes.pause(running.principal, first.sandbox.id, idempotency_key="key-1")
    assert conflict.value.code == "IDEMPOTENCY_CONFLICT"
    assert (await running.get(first.sandbox.id)).state is State.RUNNING
    assert await running.services.sandboxes.count(running.principal, SandboxFilter()) == 1


async def test_one_key_used_by_many_at_once_makes_one_sandbox(running: Running) -> None:
    command = CreateSandbox(name="raced", idempotency_key="race")
    outcomes = await asyncio.gather(*(running.services.sandboxes.create(running.principal, command) for _ in range(20)))
    assert len({outcome.sandbox.id for outcome in outcomes}) == 1
    assert all(outcome.sandbox.state is State.RUNNING for outcome in outcomes)
    assert await running.services.sandboxes.count(running.principal, SandboxFilter()) == 1


async def test_a_replayed_pause_does_not_pause_again(running: Running) -> None:
    sandbox = await running.created()
    commands = running.services.sandboxes
    first = await commands.pause(running.principal, sandbox.id, idempotency_key="p")
    await commands.resume(running.principal, sandbox.id)
    again = await commands.pause(running.principal, sandbox.id, idempotency_key="p")
    assert again.operation.id == first.operation.id
    assert again.sandbox.state is State.RUNNING


async def test_the_same_key_of_another_team_is_another_key(running: Running) -> None:
    stranger = await principal_of(running.services, await other_team(running.database))
    command = CreateSandbox(idempotency_key="same")
    mine = await running.services.sandboxes.create(running.principal, command)
    theirs = await running.services.sandboxes.create(stranger, command)
    assert mine.sandbox.id != theirs.sandbox.id


async def test_a_foreign_sandbox_looks_like_none(running: Running) -> None:
    sandbox = await running.created()
    stranger = await principal_of(running.services, await other_team(running.database))
    commands = running.services.sandboxes
    assert await commands.get(stranger, sandbox.id) is None
    assert await commands.get_many(stranger, [sandbox.id]) == {}
    assert (await commands.list(stranger, SandboxFilter(), page_request())).items == ()
    assert await commands.count(stranger, SandboxFilter()) == 0
    assert sandbox.last_operation is not None
    assert await running.services.operations.get(stranger, sandbox.last_operation.id) is None
    messages = set()
    for command in (commands.pause, commands.resume, commands.delete, commands.ping):
        for sandbox_id in (sandbox.id, new_id()):
            with pytest.raises(NotFound) as refused:
                await command(stranger, sandbox_id)
            messages.add((refused.value.code, refused.value.message))
    assert len(messages) == 1
    assert (await running.get(sandbox.id)).version == sandbox.version


async def test_commands_that_do_not_fit_the_state_are_refused_with_a_reason(running: Running) -> None:
    sandbox = await running.created()
    commands = running.services.sandboxes
    with pytest.raises(Conflict) as refused:
        await commands.resume(running.principal, sandbox.id)
    assert (refused.value.code, refused.value.message) == ("WRONG_STATE", "The sandbox is running.")
    await commands.pause(running.principal, sandbox.id)
    for command in (commands.pause, commands.ping):
        with pytest.raises(Conflict) as refused:
            await command(running.principal, sandbox.id)
        assert refused.value.code == "WRONG_STATE"
        assert refused.value.message.startswith("The sandbox is paused.")


async def test_deleting_again_is_answered_kindly(running: Running) -> None:
    sandbox = await running.created()
    commands = running.services.sandboxes
    outcomes = await asyncio.gather(*(commands.delete(running.principal, sandbox.id) for _ in range(10)))
    assert {outcome.sandbox.state for outcome in outcomes} == {State.DELETED}
    assert len({outcome.operation.id for outcome in outcomes}) == 1
    again = await commands.delete(running.principal, sandbox.id)
    assert again.operation.id == outcomes[0].operation.id


async def test_of_fifty_pauses_at_once_one_is_accepted(running: Running) -> None:
    sandbox = await running.created()
    answers = await asyncio.gather(
        *(running.services.sandboxes.pause(running.principal, sandbox.id) for _ in range(50)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) == 49
    assert all(isinstance(answer, Conflict) and answer.code == "WRONG_STATE" for answer in refused)
    assert (await running.get(sandbox.id)).state is State.PAUSED


async def test_a_caller_that_goes_away_stops_nothing(running: Running, served: Served) -> None:
    hang = Hang()
    served.driver.faults.inject("start.restore", hang)
    caller = asyncio.ensure_future(
        running.services.sandboxes.create(running.principal, CreateSandbox(idempotency_key="gone"))
    )
    await asyncio.wait_for(hang.reached.wait(), 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    hang.released.set()
    outcome = await running.services.sandboxes.create(running.principal, CreateSandbox(idempotency_key="gone"))
    assert outcome.sandbox.state is State.RUNNING
    assert await running.services.sandboxes.count(running.principal, SandboxFilter()) == 1


async def test_waiting_for_no_time_returns_at_once(running: Running, served: Served) -> None:
    hang = Hang()
    served.driver.faults.inject("start.restore", hang)
    outcome = await running.services.sandboxes.create(running.principal, CreateSandbox(wait_seconds=0))
    assert outcome.sandbox.state is State.STARTING
    assert outcome.operation.state is OperationState.RUNNING
    hang.released.set()
    await running.comes_to(outcome.sandbox.id, State.RUNNING)
    operation = await running.services.operations.get(running.principal, outcome.operation.id)
    assert operation is not None
    assert operation.state is OperationState.SUCCEEDED


async def test_a_refused_start_leaves_a_failed_sandbox_that_says_why(running: Running, served: Served) -> None:
    served.driver.faults.inject("start.restore", Fail(AgentError(Code.START_FAILED, "It did not come up.")))
    outcome = await running.services.sandboxes.create(running.principal, CreateSandbox())
    assert (outcome.operation.state, outcome.operation.error_code) == (OperationState.FAILED, "START_FAILED")
    assert outcome.operation.error_message == "It did not come up."
    assert (outcome.sandbox.state, outcome.sandbox.cause) == (State.FAILED, Cause.START_FAILED)
    deleted = await running.services.sandboxes.delete(running.principal, outcome.sandbox.id)
    assert deleted.sandbox.state is State.DELETED


async def test_a_refused_pause_reverts_under_the_same_generation(running: Running, served: Served) -> None:
    sandbox = await running.created()
    served.driver.faults.inject("pause.save", Fail(AgentError(Code.DISK_FULL, "The disk is full.")))
    outcome = await running.services.sandboxes.pause(running.principal, sandbox.id)
    assert outcome.operation.state is OperationState.FAILED
    assert outcome.operation.error_message
    reverted = await running.comes_to(sandbox.id, State.RUNNING)
    assert (reverted.goal, reverted.generation) == (Goal.RUNNING, sandbox.generation + 1)
    assert (await running.services.sandboxes.pause(running.principal, sandbox.id)).sandbox.state is State.PAUSED


async def test_a_refused_resume_leaves_it_paused(running: Running, served: Served) -> None:
    sandbox = await running.created()
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    served.driver.faults.inject("resume.restore", Fail(AgentError(Code.IMAGE_MISMATCH, "It does not fit.")))
    outcome = await running.services.sandboxes.resume(running.principal, sandbox.id)
    assert outcome.operation.state is OperationState.FAILED
    paused = await running.comes_to(sandbox.id, State.PAUSED)
    assert paused.goal is Goal.PAUSED
    assert (await running.services.sandboxes.resume(running.principal, sandbox.id)).sandbox.state is State.RUNNING


async def test_a_machine_that_dies_while_it_is_paused_is_stopped_with_its_cause(
    running: Running, served: Served
) -> None:
    sandbox = await running.created()
    served.driver.faults.inject("pause.save", Die(Death(MachineCause.OUT_OF_MEMORY, "The guest ran out of memory.")))
    outcome = await running.services.sandboxes.pause(running.principal, sandbox.id)
    assert outcome.operation.state is OperationState.FAILED
    stopped = await running.comes_to(sandbox.id, State.STOPPED)
    assert stopped.cause is Cause.OUT_OF_MEMORY


async def test_a_delete_overtakes_a_start(running: Running, served: Served) -> None:
    hang = Hang()
    served.driver.faults.inject("start.restore", hang)
    begun = await running.services.sandboxes.create(running.principal, CreateSandbox(wait_seconds=0))
    await asyncio.wait_for(hang.reached.wait(), 10)
    outcome = await running.services.sandboxes.delete(running.principal, begun.sandbox.id)
    assert outcome.sandbox.state is State.DELETED
    operation = await running.services.operations.get(running.principal, begun.operation.id)
    assert operation is not None
    assert (operation.state, operation.error_code) == (OperationState.FAILED, "SUPERSEDED")


async def test_ping_counts_as_activity(running: Running) -> None:
    sandbox = await running.created()
    pinged = await running.services.sandboxes.ping(running.principal, sandbox.id)
    assert sandbox.last_active_at is not None
    assert pinged.last_active_at is not None
    assert pinged.last_active_at > sandbox.last_active_at


async def test_without_a_host_nothing_is_made(database_url: str) -> None:
    async with services_running(database_url, reconcile=False) as lonely:
        with pytest.raises(Unavailable) as refused:
            await lonely.services.sandboxes.create(lonely.principal, CreateSandbox())
        assert refused.value.code == "HOST_UNREACHABLE"
        assert await lonely.services.sandboxes.count(lonely.principal, SandboxFilter()) == 0


async def test_unknown_and_foreign_templates_look_the_same(running: Running) -> None:
    team_id = await other_team(running.database)
    theirs = new_id()
    await running.database.execute(
        "INSERT INTO templates (id, team_id, name, description, type, disk_size_mb, created_at) "
        "VALUES ($1, $2, 'theirs', '', 'base', 5120, now())",
        theirs,
        team_id,
    )
    answers = set()
    for command in (
        CreateSandbox(template_id=theirs),
        CreateSandbox(template_id=new_id()),
        CreateSandbox(template_name="theirs"),
        CreateSandbox(template_name="nothing"),
    ):
        with pytest.raises(NotFound) as refused:
            await running.services.sandboxes.create(running.principal, command)
        answers.add((refused.value.code, refused.value.message))
    assert answers == {("NOT_FOUND", "There is no such template.")}


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_mb": 0},
        {"idempotency_key": ""},
        {"idempotency_key": "k" * 256},
        {"wait_seconds": -1},
        {"wait_seconds": 61},
    ],
)
async def test_bad_wishes_are_refused_and_change_nothing(lonely: Running, changes: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        await lonely.services.sandboxes.create(lonely.principal, CreateSandbox(**changes))  # type: ignore[arg-type]
    assert refused.value.code == "INVALID"
    assert refused.value.path
    assert await lonely.database.fetchval("SELECT count(*) FROM sandboxes") == 0


async def test_pages_go_both_ways(running: Running) -> None:
    made = [(await running.created(name=f"n{number}")).id for number in range(5)]
    commands = running.services.sandboxes

    async def page(**arguments: object) -> tuple[list[int], bool, bool]:
        newest_first = bool(arguments.pop("newest_first", False))
        found = await commands.list(
            running.principal,
            SandboxFilter(),
            page_request(**arguments),  # type: ignore[arg-type]
            newest_first=newest_first,
        )
        return [made.index(sandbox.id) for sandbox in found.items], found.has_previous, found.has_next

    assert await page(first=2) == ([0, 1], False, True)
    assert await page(first=2, after=made[1]) == ([2, 3], True, True)
    assert await page(first=2, after=made[3]) == ([4], True, False)
    assert await page(last=2) == ([3, 4], True, False)
    assert await page(last=2, before=made[3]) == ([1, 2], True, True)
    assert await page(first=2, newest_first=True) == ([4, 3], False, True)
    assert await page(last=2, before=made[1], newest_first=True) == ([3, 2], True, True)


async def test_a_crash_is_seen_at_once_with_its_cause(running: Running, served: Served) -> None:
    sandbox = await running.created()
    served.driver.crash(sandbox.id, MachineCause.KILLED, "Somebody killed it.")
    stopped = await running.comes_to(sandbox.id, State.STOPPED)
    assert (stopped.cause, stopped.detail, stopped.goal) == (Cause.KILLED, "Somebody killed it.", Goal.RUNNING)
    await eventually(lambda: not running.services.commands.under_way)


async def test_opposite_commands_at_once_leave_a_consistent_sandbox(running: Running) -> None:
    sandbox = await running.created()
    commands = running.services.sandboxes
    await asyncio.gather(
        *(
            command(running.principal, sandbox.id)
            for command in (commands.pause, commands.resume, commands.delete, commands.pause, commands.delete)
        ),
        return_exceptions=True,
    )
    deleted = await running.comes_to(sandbox.id, State.DELETED)
    assert deleted.goal is Goal.GONE
    unfinished = "SELECT count(*) FROM operations WHERE state = 'running'"
    assert await running.database.fetchval(unfinished) == 0

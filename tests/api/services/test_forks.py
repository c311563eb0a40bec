"""Children that begin as their parent is."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from agent.drivers.simulated import Fail, Hang
from agent.errors import AgentError, Code
from api.domain.command import ExecCommand
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import Cause, ForkSandbox, Goal, Sandbox, State
from api.errors import Conflict, Invalid, NestboxError, NotFound
from api.ids import new_id
from api.services.forks import ForkOutcome
from tests.agent.serving import Served
from tests.api.running import Running, other_team, principal_of, services_running


async def _fork(running: Running, parent: Sandbox, count: int = 2, **wish: object) -> ForkOutcome:
    return await running.services.forks.create(
        running.principal,
        ForkSandbox(parent.id, count=count, **wish),  # type: ignore[arg-type]
    )


async def _with_file(running: Running, text: bytes, **wish: object) -> Sandbox:
    async def content() -> AsyncIterator[bytes]:
        yield text

    sandbox = await running.created(**wish)
    await running.services.files.write(running.principal, sandbox.id, "/root/file", content())
    return sandbox


async def _file(running: Running, sandbox_id: UUID) -> bytes:
    download = await running.services.files.open(running.principal, sandbox_id, "/root/file")
    return b"".join([chunk async for chunk in download.content])


async def test_children_begin_as_their_parent_and_inherit_from_it(running: Running) -> None:
    parent = await _with_file(
        running, b"kept", name="p", labels=(("a", "1"),), environment=(("X", "1"),), timeout_sec=600, memory_mb=256
    )
    outcome = await _fork(running, parent, 3, labels=(("b", "2"),), environment=(("Y", "2"),), disk_size_mb=8192)
    assert (outcome.operation.kind, outcome.operation.state) == (OperationKind.FORK, OperationState.SUCCEEDED)
    assert {stage.name for stage in outcome.operation.stages} >= {"save", "layer"}
    assert (outcome.parent.state, outcome.parent.goal) == (State.RUNNING, Goal.RUNNING)
    assert len(outcome.children) == 3
    for child in outcome.children:
        assert child.operation is not None
        assert (child.operation.kind, child.operation.state) == (OperationKind.CREATE, OperationState.SUCCEEDED)
        sandbox = await running.get(child.sandbox.id)
        assert (sandbox.state, sandbox.parent_id, sandbox.host_id) == (State.RUNNING, parent.id, parent.host_id)
        assert (sandbox.name, sandbox.labels, sandbox.timeout_sec) == ("p", {"a": "1", "b": "2"}, 600)
        assert (sandbox.memory_mb, sandbox.disk_size_mb) == (256, 8192)
        assert await _file(running, sandbox.id) == b"kept"
        ran = await running.services.exec.run(running.principal, sandbox.id, ExecCommand(argv=("env",)))
        assert {b"X=1", b"Y=2"} <= set(ran.stdout.splitlines())
        history = await running.events(sandbox.id)
        assert [row["kind"] for row in history] == ["sandbox.forked", "sandbox.create", "sandbox.report"]
        assert history[0]["operation_id"] == outcome.operation.id
    paused = await running.services.sandboxes.pause(running.principal, outcome.children[0].sandbox.id)
    assert paused.sandbox.state is State.PAUSED


async def test_one_key_forks_once(running: Running, database_url: str, host: tuple[Served, str]) -> None:
    parent = await running.created()
    outcomes = await asyncio.gather(*(_fork(running, parent, 2, idempotency_key="fork it") for _ in range(20)))
    assert len({outcome.operation.id for outcome in outcomes}) == 1
    assert len({child.sandbox.id for outcome in outcomes for child in outcome.children}) == 2
    async with services_running(database_url, host[1], reconcile=False) as restarted:
        later = await restarted.services.forks.create(
            running.principal, ForkSandbox(parent.id, count=2, idempotency_key="fork it")
        )
    assert [child.sandbox.id for child in later.children] == [child.sandbox.id for child in outcomes[0].children]
    with pytest.raises(Conflict) as refused:
        await _fork(running, parent, 3, idempotency_key="fork it")
    assert refused.value.code == "IDEMPOTENCY_CONFLICT"


async def test_some_children_may_fail_and_others_not(running: Running, served: Served) -> None:
    parent = await running.created()
    served.driver.faults.inject("start.spawn", Fail(AgentError(Code.NO_CAPACITY, "There is no room.")))
    outcome = await _fork(running, parent, 3)
    assert outcome.operation.state is OperationState.SUCCEEDED
    ends = {child.sandbox.state: child.operation for child in outcome.children if child.operation is not None}
    assert [child.sandbox.state for child in outcome.children].count(State.RUNNING) == 2
    assert ends[State.FAILED].error_code == "NO_CAPACITY"
    assert ends[State.FAILED].error_retryable


async def test_a_refused_fork_leaves_the_parent_running_and_says_so_for_every_child(
    running: Running, served: Served
) -> None:
    parent = await running.created()
    served.driver.faults.inject("snapshot.save", Fail(AgentError(Code.DISK_FULL, "The disk is full.")))
    outcome = await _fork(running, parent)
    assert (outcome.operation.state, outcome.operation.error_code) == (OperationState.FAILED, "DISK_FULL")
    assert (await running.comes_to(parent.id, State.RUNNING)).goal is Goal.RUNNING
    for child in outcome.children:
        failed = await running.comes_to(child.sandbox.id, State.FAILED)
        assert (failed.cause, failed.detail) == (Cause.START_FAILED, "The disk is full.")
        deleted = await running.services.sandboxes.delete(running.principal, failed.id)
        assert deleted.sandbox.state is State.DELETED
    again = await _fork(running, parent)
    assert {child.sandbox.state for child in again.children} == {State.RUNNING}


async def test_children_can_be_deleted_before_they_begin(running: Running, served: Served) -> None:
    parent, hang = await running.created(), Hang()
    served.driver.faults.inject("snapshot.save", hang)
    begun = await _fork(running, parent, 2, wait_seconds=0)
    await asyncio.wait_for(hang.reached.wait(), 10)
    assert [child.sandbox.state for child in begun.children] == [State.PENDING] * 2
    deleted = await running.services.sandboxes.delete(running.principal, begun.children[0].sandbox.id)
    assert deleted.sandbox.state is State.DELETED
    hang.released.set()
    await running.comes_to(begun.children[1].sandbox.id, State.RUNNING)
    assert (await running.get(begun.children[0].sandbox.id)).state is State.DELETED


async def test_whatever_happens_to_the_parent_afterwards_does_not_end_the_fork(
    running: Running, served: Served
) -> None:
    parent = await running.created()
    hang = Hang()
    served.driver.faults.inject("start.spawn", hang)
    begun = await _fork(running, parent, 2, wait_seconds=0)
    await asyncio.wait_for(hang.reached.wait(), 10)
    await running.services.sandboxes.delete(running.principal, parent.id)
    hang.released.set()
    for child in begun.children:
        await running.comes_to(child.sandbox.id, State.RUNNING)


async def test_a_parent_that_is_deleted_meanwhile_ends_everything(running: Running, served: Served) -> None:
    parent, hang = await running.created(), Hang()
    served.driver.faults.inject("snapshot.save", hang)
    begun = await _fork(running, parent, 2, wait_seconds=0)
    await asyncio.wait_for(hang.reached.wait(), 10)
    deletion = asyncio.gather(running.services.sandboxes.delete(running.principal, parent.id))
    hang.released.set()
    await deletion
    await running.comes_to(parent.id, State.DELETED)
    for child in begun.children:
        # what was kept before the parent went is enough for them
        await running.comes_to(child.sandbox.id, State.RUNNING)


async def test_opposite_commands_at_once_leave_nothing_half_done(running: Running) -> None:
    parent = await running.created()
    sandboxes, principal = running.services.sandboxes, running.principal
    answers = await asyncio.gather(
        _fork(running, parent, 2),
        running.services.templates.create(principal, parent.id, "raced"),
        sandboxes.pause(principal, parent.id),
        _fork(running, parent, 2),
        sandboxes.delete(principal, parent.id),
        _fork(running, parent, 2),
        return_exceptions=True,
    )
    assert all(isinstance(answer, NestboxError) for answer in answers if isinstance(answer, BaseException)), answers
    await running.comes_to(parent.id, State.DELETED)
    unfinished = "SELECT count(*) FROM operations WHERE state = 'running'"
    assert await running.database.fetchval(unfinished) == 0
    states = {row["state"] for row in await running.database.fetch("SELECT state FROM sandboxes")}
    assert states <= {"running", "failed", "deleted"}


async def test_what_does_not_run_and_what_is_foreign_is_not_forked(running: Running) -> None:
    parent = await running.created()
    stranger = await principal_of(running.services, await other_team(running.database))
    for sandbox_id in (parent.id, new_id()):
        with pytest.raises(NotFound):
            await running.services.forks.create(stranger, ForkSandbox(sandbox_id))
    with pytest.raises(Invalid):
        await _fork(running, parent, 101)
    with pytest.raises(Invalid) as refused:
        await _fork(running, parent, 1, disk_size_mb=2048)
    assert refused.value.code == "UNSUPPORTED_SHAPE"
    await running.services.sandboxes.pause(running.principal, parent.id)
    with pytest.raises(Conflict) as conflict:
        await _fork(running, parent)
    assert conflict.value.code == "WRONG_STATE"
    assert await running.database.fetchval("SELECT count(*) FROM sandboxes") == 1

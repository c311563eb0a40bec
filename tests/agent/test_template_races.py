"""Templates while other things happen to them: deletions, deaths, pauses, restarts, full disks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from uuid import UUID, uuid4

import grpc.aio
import pytest
import pytest_asyncio

from agent.drivers.driver import Death
from agent.drivers.simulated import Die, Fail, Faults
from agent.drivers.simulated.kept import Note
from agent.errors import AgentError, Code
from agent.forks import FORK_KEPT_SECONDS
from agent.machine import Cause
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import (
    Clock,
    Served,
    cause_of,
    hanging,
    new_sandbox,
    new_template,
    refused,
    running,
    serving,
    state_of,
    uuid_of,
)
from tests.waiting import eventually

SNAPSHOT = pb.TEMPLATE_TYPE_SNAPSHOT
FULL = AgentError(Code.DISK_FULL, "The host's disk is full.")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def agent(tmp_path: Path, clock: Clock) -> AsyncIterator[Served]:
    async with serving(tmp_path, clock=clock) as served:
        yield served


async def how(agent: Served, template_id: str) -> str:
    template = (await agent.templates())[template_id]
    return pb.TemplateState.Name(template.state).removeprefix("TEMPLATE_STATE_").lower()


async def comes_to(agent: Served, template_id: str, state: str) -> pb.Template:
    async def is_there() -> bool:
        return await how(agent, template_id) == state

    await eventually(is_there)
    return (await agent.templates())[template_id]


async def ready(agent: Served, parent: str, generation: int = 2) -> str:
    template_id = new_template()
    await agent.snapshot(parent, generation, template_id)
    await comes_to(agent, template_id, "ready")
    await eventually(lambda: not agent.driver._snapshots.has(uuid_of(template_id)))
    return template_id


async def test_progress_is_told_and_nothing_of_it_comes_after_the_outcome(
    agent: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.builds.PROGRESS_SECONDS", 0.0)
    parent, template_id = await running(agent), new_template()
    told: list[tuple[int, int]] = []
    stream = agent.stub.WatchMachines(pb.WatchMachinesRequest(), metadata=agent.metadata)
    async with hanging(agent, "make_template") as hang:
        await agent.snapshot(parent, 2, template_id)
        await hang.reached.wait()
        async for event in stream:
            if event.WhichOneof("event") == "template_changed":
                told.append((event.template_changed.state, event.template_changed.progress_percent))
                if told[-1] == (pb.TEMPLATE_STATE_BUILDING, 50):
                    hang.released.set()
                if told[-1][0] == pb.TEMPLATE_STATE_READY:
                    break
    # the last thing that was told of it is how it ended
    after = await agent.snapshot(parent, 3, new_template())
    assert after.sequence > (await agent.templates())[template_id].sequence
    assert await how(agent, template_id) == "ready"
    assert told[0] == (pb.TEMPLATE_STATE_BUILDING, 0)
    assert told[-1] == (pb.TEMPLATE_STATE_READY, 100)
    assert [percent for _, percent in told] == sorted(percent for _, percent in told)


async def test_the_last_word_of_a_driver_does_not_undo_a_template(
    agent: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver says 100 in the moment in which it is done."""
    monkeypatch.setattr("agent.builds.PROGRESS_SECONDS", 0.0)
    parent = await running(agent)
    for generation in range(2, 22):
        template_id = await ready(agent, parent, generation)
        await agent.ping(parent)
        assert await how(agent, template_id) == "ready"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_template_that_is_deleted_while_its_sandbox_is_snapshotted_stays_deleted(
    agent: Served, *, fails: bool
) -> None:
    parent, template_id = await running(agent), new_template()
    if fails:
        agent.driver.faults.inject("snapshot.sync", Fail(FULL))
    async with asyncio.TaskGroup() as group, hanging(agent, "snapshot.save") as hang:
        snapshot = group.create_task(_outcome(agent.snapshot(parent, 2, template_id)))
        await hang.reached.wait()
        assert (await agent.delete_template(template_id)).state == pb.TEMPLATE_STATE_DELETED
    assert await snapshot == ("DISK_FULL" if fails else "running")
    await eventually(lambda: not agent.driver._snapshots.all())
    assert await how(agent, template_id) == "deleted"
    assert not agent.driver._templates.all()
    assert await agent.state(parent) == "running"
    with refused(Code.WRONG_STATE):
        await agent.snapshot(parent, 3, template_id)


async def test_a_removal_does_not_end_with_its_caller(agent: Served) -> None:
    template_id = await ready(agent, await running(agent))
    async with hanging(agent, "remove_template") as hang:
        request = pb.DeleteTemplateRequest(template_id=template_id)
        call = agent.stub.DeleteTemplate(request, metadata=agent.metadata)
        await hang.reached.wait()
        call.cancel()
        assert await how(agent, template_id) == "deleting"
        with refused(Code.UNKNOWN_TEMPLATE):
            await agent.create(new_sandbox(), template_type=SNAPSHOT, template_id=template_id)
        others = asyncio.gather(*(agent.delete_template(template_id) for _ in range(5)))
        await agent.ping(await running(agent))  # the calls have come
        hang.released.set()
        assert {template.state for template in await others} == {pb.TEMPLATE_STATE_DELETED}
    assert await how(agent, template_id) == "deleted"


async def test_a_removal_that_fails_is_tried_again_and_keeps_no_agent_from_starting(tmp_path: Path) -> None:
    async with serving(tmp_path) as agent:
        template_id = await ready(agent, await running(agent))
        agent.driver.faults.inject("remove_template", Fail(FULL))
        with refused(Code.DISK_FULL):
            await agent.delete_template(template_id)
        assert await how(agent, template_id) == "deleting"
    faults = Faults()
    faults.inject("remove_template", Fail(FULL))
    async with serving(tmp_path, faults=faults) as agent:
        await eventually(lambda: not faults.unfired)
        assert await how(agent, template_id) == "deleting"
        await agent.host._parts.templates.tend()
        assert await how(agent, template_id) == "deleted"
        assert not agent.driver._templates.all()


async def test_a_template_that_the_driver_needs_is_ready_again(agent: Served, tmp_path: Path) -> None:
    """Files of a sandbox that the ledger does not know stand on it."""
    template_id = await ready(agent, await running(agent))
    unknown = tmp_path / "simulated" / str(uuid4())
    unknown.mkdir()
    (unknown / "template").write_text(str(uuid_of(template_id)))
    with refused(Code.TEMPLATE_IN_USE):
        await agent.delete_template(template_id)
    assert await how(agent, template_id) == "ready"
    child = new_sandbox()
    await agent.create(child, template_type=SNAPSHOT, template_id=template_id)
    await agent.destroy(child, 2)
    (unknown / "template").unlink()
    assert (await agent.delete_template(template_id)).state == pb.TEMPLATE_STATE_DELETED


async def test_what_is_kept_for_forks_keeps_its_template(agent: Served, clock: Clock) -> None:
    template_id = await ready(agent, await running(agent))
    parent = await running(agent, template_type=SNAPSHOT, template_id=template_id)
    await agent.fork(parent, 2, str(uuid4()), new_sandbox())
    await agent.destroy(parent, 3)
    with refused(Code.TEMPLATE_IN_USE):
        await agent.delete_template(template_id)
    assert await how(agent, template_id) == "ready"
    clock.ahead += FORK_KEPT_SECONDS
    await agent.host._parts.forks.tend()
    assert (await agent.delete_template(template_id)).state == pb.TEMPLATE_STATE_DELETED


async def test_a_template_is_in_use_from_the_moment_in_which_a_machine_is_begun(agent: Served) -> None:
    template_id, child = await ready(agent, await running(agent)), new_sandbox()
    async with asyncio.TaskGroup() as group, hanging(agent, "start.disk") as hang:
        creating = group.create_task(agent.create(child, template_type=SNAPSHOT, template_id=template_id))
        await hang.reached.wait()
        with refused(Code.TEMPLATE_IN_USE):
            await agent.delete_template(template_id)
    assert state_of(await creating) == "running"
    await agent.destroy(child, 2)
    # create and delete at once: one of them loses, and nothing is left half done
    outcomes = await asyncio.gather(
        *(_outcome(agent.create(new_sandbox(), template_type=SNAPSHOT, template_id=template_id)) for _ in range(5)),
        _outcome(agent.delete_template(template_id)),
    )
    created = outcomes[:-1].count("running")
    assert outcomes[-1] == ("TEMPLATE_IN_USE" if created else "deleted")
    assert set(outcomes[:-1]) <= {"running", "UNKNOWN_TEMPLATE"}
    assert await how(agent, template_id) == ("ready" if created else "deleted")


async def test_a_generation_names_one_template_and_one_fork(agent: Served) -> None:
    parent, template_id, snapshot_id, child = await running(agent), new_template(), str(uuid4()), new_sandbox()
    await agent.snapshot(parent, 2, template_id)
    assert state_of(await agent.snapshot(parent, 2, template_id)) == "running"
    with refused(Code.INVALID, "another command"):
        await agent.snapshot(parent, 2, new_template())
    await agent.fork(parent, 3, snapshot_id, child)
    assert state_of(await agent.fork(parent, 3, snapshot_id, child)) == "running"
    with refused(Code.INVALID, "another command"):
        await agent.fork(parent, 3, str(uuid4()), child)
    with refused(Code.STALE_GENERATION):
        await agent.snapshot(parent, 2, template_id)
    with refused(Code.INVALID, "another fork"):
        await agent.fork(parent, 4, snapshot_id, child)
    # the answer to a refusal is the same again
    with refused(Code.INVALID, "another fork"):
        await agent.fork(parent, 4, snapshot_id, child)


async def test_a_machine_that_dies_while_it_is_snapshotted_is_stopped_and_nothing_is_kept(agent: Served) -> None:
    for command in ("snapshot", "fork"):
        parent, template_id = await running(agent), new_template()
        agent.driver.faults.inject("snapshot.layer", Die(Death(Cause.OUT_OF_MEMORY, "Its guest needed too much.")))
        for _ in range(2):
            with refused(Code.MACHINE_GONE):
                if command == "snapshot":
                    await agent.snapshot(parent, 2, template_id)
                else:
                    await agent.fork(parent, 2, str(uuid_of(template_id)), new_sandbox())
        machine = (await agent.inventory())[parent]
        assert (state_of(machine), cause_of(machine)) == ("stopped", "out_of_memory")
        assert not agent.driver._snapshots.all()
        assert not await agent.host._parts.ledger.forks()
        if command == "snapshot":
            assert (await comes_to(agent, template_id, "failed")).error_code == "MACHINE_GONE"
        assert state_of(await agent.start(parent, 3)) == "running"


async def test_commands_wait_for_a_snapshot_and_an_idle_pause_does_not_come_into_it(
    agent: Served, clock: Clock
) -> None:
    parent, template_id = await running(agent, timeout_sec=60), new_template()
    async with asyncio.TaskGroup() as group, hanging(agent, "snapshot.save") as hang:
        snapshot = group.create_task(agent.snapshot(parent, 2, template_id))
        await hang.reached.wait()
        clock.ahead += 61
        await agent.host.reaper.sweep()
        hang.released.set()
        assert state_of(await snapshot) == "running"
    # it counts as use
    await agent.host.reaper.sweep()
    assert await agent.state(parent) == "running"
    assert (await agent.inventory())[parent].HasField("auto_pause_at")
    async with asyncio.TaskGroup() as group, hanging(agent, "snapshot.save") as hang:
        snapshot = group.create_task(agent.fork(parent, 3, str(uuid4()), new_sandbox()))
        await hang.reached.wait()
        pause = group.create_task(agent.pause(parent, 4))
        hang.released.set()
        assert state_of(await pause) == "paused"
    await comes_to(agent, template_id, "ready")


async def test_why_a_sandbox_is_as_it_is_does_not_change_by_a_snapshot(agent: Served, clock: Clock) -> None:
    parent = await running(agent, timeout_sec=60)
    clock.ahead += 61
    await agent.host.reaper.sweep()

    async def is_paused() -> bool:
        return await agent.state(parent) == "paused"

    await eventually(is_paused)
    machine = await agent.snapshot(parent, 2, new_template())
    assert (state_of(machine), cause_of(machine)) == ("paused", "idle_timeout")
    agent.driver.faults.inject("snapshot.save", Fail(FULL))
    with refused(Code.DISK_FULL):
        await agent.snapshot(parent, 3, new_template())
    machine = (await agent.inventory())[parent]
    assert (state_of(machine), cause_of(machine)) == ("paused", "idle_timeout")


@pytest.mark.parametrize("is_complete", [False, True])
@pytest.mark.parametrize("state", ["running", "paused", "stopped"])
async def test_a_snapshot_of_a_killed_agent_has_succeeded_if_it_is_complete(
    tmp_path: Path, state: str, *, is_complete: bool
) -> None:
    """The agent ends in the middle; what the machine and the snapshot are then, the next one finds."""
    template_id, clock = new_template(), Clock()
    async with serving(tmp_path, clock=clock) as agent:
        parent = await running(agent, timeout_sec=60)
        if state == "paused":
            # by itself, which must not make the command one of the host's own
            clock.ahead += 61
            await agent.host.reaper.sweep()
            await eventually(lambda: agent.driver._state(uuid_of(parent)) == "paused")
        async with asyncio.TaskGroup() as group, hanging(agent, "snapshot.save") as hang:
            call = group.create_task(agent.snapshot(parent, 2, template_id))
            await hang.reached.wait()
            machine = await agent.host._parts.ledger.find(uuid_of(parent))
            template = await agent.host._parts.ledger.find_template(uuid_of(template_id))
            hang.released.set()
            await call
        await comes_to(agent, template_id, "ready")
        await eventually(lambda: not agent.driver._snapshots.all())
        assert machine is not None
        assert template is not None
        await agent.host._parts.ledger.write(machine, durable=True)
        await agent.host._parts.ledger.write_template(template, durable=True)
    agent.driver._templates.drop(uuid_of(template_id))
    if state == "stopped":
        agent.driver._set_state(uuid_of(parent), "stopped")
    if is_complete:
        disk = tmp_path / "simulated" / str(uuid_of(parent)) / "disk"
        agent.driver._snapshots.keep(uuid_of(template_id), disk, Note("base", str(UUID(int=1)), 1, 512, 5120))
    async with serving(tmp_path) as agent:
        assert await agent.state(parent) == state
        await comes_to(agent, template_id, "ready" if is_complete else "failed")
        await eventually(lambda: not agent.driver._snapshots.all())
        if is_complete:
            assert state_of(await agent.snapshot(parent, 2, template_id)) == state
        else:
            with refused(Code.MACHINE_GONE if state == "stopped" else Code.SNAPSHOT_FAILED):
                await agent.snapshot(parent, 2, template_id)


async def test_a_build_that_fails_on_a_full_disk_makes_room_before_it_is_recorded(
    agent: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.template_records.RECORD_RETRY_SECONDS", 0.01)
    parent, template_id, ledger = await running(agent), new_template(), agent.host._parts.ledger
    agent.driver.faults.inject("make_template", Fail(FULL))
    async with hanging(agent, "drop_snapshot") as hang:
        await agent.snapshot(parent, 2, template_id)
        await hang.reached.wait()
        await ledger._in_thread(lambda: ledger._connection.execute("PRAGMA query_only = 1"))
    await eventually(lambda: not agent.driver._snapshots.all())
    assert await how(agent, template_id) == "building"
    await ledger._in_thread(lambda: ledger._connection.execute("PRAGMA query_only = 0"))
    assert (await comes_to(agent, template_id, "failed")).error_code == "DISK_FULL"


async def _outcome(call: Awaitable[pb.Machine | pb.Template]) -> str:
    """The state that it comes to, or the code of the refusal."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return str(dict(error.trailing_metadata())["nestbox-code"])
    if isinstance(answer, pb.Machine):
        return state_of(answer)
    return pb.TemplateState.Name(answer.state).removeprefix("TEMPLATE_STATE_").lower()

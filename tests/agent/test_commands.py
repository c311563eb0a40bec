"""Commands over gRPC, on the simulated driver: what they do, what they refuse, and what a repetition gets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio

from agent.drivers.driver import Death
from agent.drivers.simulated import Die, Fail, Hang, SimulatedDriver
from agent.errors import AgentError, Code
from agent.keeper import COMMANDS_MAX
from agent.machine import Cause
from agent.parts import Capacity
from proto.host.v1 import host_pb2 as pb
from tests.agent.drivers.qemu.laboratory import new_spec
from tests.agent.serving import Served, cause_of, creation, new_sandbox, refused, serving, state_of, uuid_of
from tests.waiting import eventually


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


def files_of(agent: Served, sandbox_id: str) -> list[Path]:
    return list((agent.driver._folder / str(uuid_of(sandbox_id))).glob("**"))


async def test_a_sandbox_lives(agent: Served) -> None:
    sandbox_id = new_sandbox()
    created = await agent.create(sandbox_id, timeout_sec=60)
    assert (state_of(created), created.generation, created.timeout_sec) == ("running", 1, 60)
    assert [stage.name for stage in created.stages] == [
        "queue", "record", "image", "disk", "spawn", "restore", "guest",
    ]  # fmt: skip
    paused = await agent.pause(sandbox_id, 2)
    assert state_of(paused) == "paused"
    resumed = await agent.resume(sandbox_id, 3, timeout_sec=90)
    assert (state_of(resumed), resumed.timeout_sec) == ("running", 90)
    assert resumed.incarnation != created.incarnation
    deleted = await agent.destroy(sandbox_id, 4)
    assert state_of(deleted) == "deleted"
    assert files_of(agent, sandbox_id) == []
    sequences = [machine.sequence for machine in (created, paused, resumed, deleted)]
    assert sequences == sorted(set(sequences))


async def test_the_same_generation_gets_the_same_answer_and_does_nothing_twice(agent: Served) -> None:
    sandbox_id = new_sandbox()
    created = await agent.create(sandbox_id)
    assert await agent.create(sandbox_id) == created
    paused = await agent.pause(sandbox_id, 2)
    assert await agent.pause(sandbox_id, 2) == paused
    resumed = await agent.resume(sandbox_id, 3)
    assert await agent.resume(sandbox_id, 3) == resumed
    deleted = await agent.destroy(sandbox_id, 4)
    assert await agent.destroy(sandbox_id, 4) == deleted


async def test_older_generations_are_refused(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, 3)
    with refused(Code.STALE_GENERATION):
        await agent.pause(sandbox_id, 2)
    with refused(Code.STALE_GENERATION):
        await agent.destroy(sandbox_id, 2)
    assert await agent.state(sandbox_id) == "running"


async def test_one_generation_cannot_be_two_commands(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    with refused(Code.INVALID):
        await agent.pause(sandbox_id, 1)
    with refused(Code.INVALID):
        await agent.create(sandbox_id, 1, environment={"OTHER": "spec"})
    assert await agent.state(sandbox_id) == "running"


async def test_a_refused_command_is_remembered_so_that_what_was_sent_before_it_comes_too_late(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    await agent.pause(sandbox_id, 2)
    with refused(Code.WRONG_STATE):
        await agent.create(sandbox_id, 5)
    with refused(Code.WRONG_STATE):
        await agent.create(sandbox_id, 5)
    with refused(Code.STALE_GENERATION):
        await agent.resume(sandbox_id, 4)
    assert await agent.state(sandbox_id) == "paused"


async def test_what_is_as_it_should_be_stays_so_and_notes_the_generation(agent: Served) -> None:
    sandbox_id = new_sandbox()
    created = await agent.create(sandbox_id)
    running = await agent.resume(sandbox_id, 2)
    assert (state_of(running), running.generation, running.incarnation) == ("running", 2, created.incarnation)
    await agent.pause(sandbox_id, 3)
    assert (await agent.pause(sandbox_id, 4)).generation == 4


async def test_commands_for_an_unknown_sandbox(agent: Served) -> None:
    sandbox_id = new_sandbox()
    with refused(Code.NO_SUCH_MACHINE):
        await agent.pause(sandbox_id, 1)
    with refused(Code.NO_SUCH_MACHINE):
        await agent.resume(sandbox_id, 1)
    with refused(Code.NO_SUCH_MACHINE):
        await agent.ping(sandbox_id)
    assert sandbox_id not in await agent.inventory()


async def test_a_create_that_comes_after_its_delete_makes_nothing(agent: Served) -> None:
    sandbox_id = new_sandbox()
    assert state_of(await agent.destroy(sandbox_id, 2)) == "deleted"
    with refused(Code.STALE_GENERATION):
        await agent.create(sandbox_id, 1)
    with refused(Code.WRONG_STATE):
        await agent.create(sandbox_id, 3)
    assert files_of(agent, sandbox_id) == []


async def test_repeats_while_it_is_under_way_wait_for_the_same_outcome(agent: Served) -> None:
    hang = Hang()
    agent.driver.faults.inject("start.spawn", hang)
    sandbox_id = new_sandbox()
    async with asyncio.TaskGroup() as group:
        creates = [group.create_task(agent.create(sandbox_id)) for _ in range(50)]
        await hang.reached.wait()
        hang.released.set()
    answers = [create.result() for create in creates]
    assert all(answer == answers[0] for answer in answers)
    assert len(agent.driver.faults.fired) == 1


async def test_a_client_that_goes_away_in_the_middle_of_a_create_does_not_stop_it(agent: Served) -> None:
    hang = Hang()
    agent.driver.faults.inject("start.disk", hang)
    sandbox_id = new_sandbox()
    call = agent.stub.CreateMachine(creation(sandbox_id), metadata=agent.metadata)
    await hang.reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await agent.state(sandbox_id) == "starting"
    hang.released.set()
    assert state_of(await agent.create(sandbox_id)) == "running"


async def test_a_deadline_in_the_middle_of_a_pause_does_not_stop_it(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    hang = Hang()
    agent.driver.faults.inject("pause.save", hang)
    request = pb.PauseMachineRequest(sandbox_id=sandbox_id, generation=2)
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await agent.stub.PauseMachine(request, metadata=agent.metadata, timeout=0.2)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await agent.state(sandbox_id) == "pausing"
    hang.released.set()
    assert state_of(await agent.pause(sandbox_id, 2)) == "paused"


@pytest.mark.parametrize("stage", ["image", "disk", "spawn", "restore", "guest"])
async def test_a_start_that_fails_leaves_nothing_but_the_reason(agent: Served, stage: str) -> None:
    agent.driver.faults.inject(f"start.{stage}", Fail(AgentError(Code.DISK_FULL, "The disk is full.")))
    sandbox_id = new_sandbox()
    for _ in range(2):
        with refused(Code.DISK_FULL):
            await agent.create(sandbox_id)
    machine = (await agent.inventory())[sandbox_id]
    assert (state_of(machine), cause_of(machine), machine.detail) == ("failed", "start_failed", "The disk is full.")
    assert files_of(agent, sandbox_id) == []
    assert state_of(await agent.destroy(sandbox_id, 2)) == "deleted"


@pytest.mark.parametrize("stage", ["stop", "save", "sync", "release"])
async def test_after_a_failed_pause_it_runs_on(agent: Served, stage: str) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    agent.driver.faults.inject(f"pause.{stage}", Fail(AgentError(Code.PAUSE_FAILED, "It could not be saved.")))
    for _ in range(2):
        with refused(Code.PAUSE_FAILED):
            await agent.pause(sandbox_id, 2)
    assert await agent.state(sandbox_id) == "running"
    assert (await agent.run(sandbox_id, "true")).exited.exit_code == 0
    assert state_of(await agent.pause(sandbox_id, 3)) == "paused"


async def test_a_machine_that_dies_in_the_middle_of_a_pause_is_stopped_with_its_cause(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    agent.driver.faults.inject("pause.save", Die(Death(Cause.OUT_OF_MEMORY, "The guest had no memory left.")))
    with refused(Code.MACHINE_GONE):
        await agent.pause(sandbox_id, 2)
    machine = (await agent.inventory())[sandbox_id]
    assert (state_of(machine), cause_of(machine)) == ("stopped", "out_of_memory")


@pytest.mark.parametrize("stage", ["verify", "spawn", "restore", "guest"])
async def test_after_a_failed_resume_it_is_paused_as_it_was(agent: Served, stage: str) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    await agent.write(sandbox_id, "/root/file", b"kept")
    await agent.pause(sandbox_id, 2)
    agent.driver.faults.inject(f"resume.{stage}", Fail(AgentError(Code.IMAGE_MISMATCH, "QEMU is another.")))
    with refused(Code.IMAGE_MISMATCH):
        await agent.resume(sandbox_id, 3)
    assert await agent.state(sandbox_id) == "paused"
    await agent.resume(sandbox_id, 4)
    assert await agent.read(sandbox_id, "/root/file") == b"kept"


async def test_what_nobody_foresaw_is_told_without_its_insides(agent: Served) -> None:
    agent.driver.faults.inject("start.guest", Fail(RuntimeError("secret insides")))  # type: ignore[arg-type]
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await agent.create(new_sandbox())
    assert "secret insides" not in str(failure.value)


async def test_a_delete_ends_a_start_that_is_under_way(agent: Served) -> None:
    hang = Hang()
    agent.driver.faults.inject("start.guest", hang)
    sandbox_id = new_sandbox()
    async with asyncio.TaskGroup() as group:
        create = group.create_task(_outcome(agent.create(sandbox_id)))
        await hang.reached.wait()
        assert state_of(await agent.destroy(sandbox_id, 2)) == "deleted"
    assert create.result() is Code.START_FAILED
    assert files_of(agent, sandbox_id) == []


async def test_a_delete_that_fails_can_be_repeated(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    for point in ("kill", "remove"):
        agent.driver.faults.inject(point, Fail(AgentError(Code.INTERNAL, "Not now.")))
        with refused(Code.INTERNAL):
            await agent.destroy(sandbox_id, 2)
        assert await agent.state(sandbox_id) == "deleting"
    assert state_of(await agent.destroy(sandbox_id, 2)) == "deleted"


async def test_opposite_commands_at_once_end_with_the_newest(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    async with asyncio.TaskGroup() as group:
        for generation in range(2, 8):
            command = agent.pause if generation % 2 else agent.resume
            group.create_task(_outcome(command(sandbox_id, generation)))
        deletes = [group.create_task(_outcome(agent.destroy(sandbox_id, 8))) for _ in range(50)]
    assert all(delete.result() is None for delete in deletes)
    assert await agent.state(sandbox_id) == "deleted"


async def test_too_many_commands_for_one_sandbox_are_refused(agent: Served) -> None:
    hang = Hang()
    agent.driver.faults.inject("start.spawn", hang)
    sandbox_id = new_sandbox()
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.create(sandbox_id))
        await hang.reached.wait()
        keeper = agent.host._keepers[uuid_of(sandbox_id)]
        for generation in range(2, COMMANDS_MAX + 1):
            # one after the other: calls may overtake each other on their way, and an older one would be stale
            group.create_task(_outcome(agent.pause(sandbox_id, generation)))
            await eventually(lambda waiting=generation: len(keeper.outcomes()) == waiting)
        with refused(Code.BUSY):
            await agent.pause(sandbox_id, COMMANDS_MAX + 1)
        hang.released.set()


async def test_memory_is_counted_for_machines_that_start_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path, available_mb=lambda: 256 + 2 * 640) as agent:
        hang = Hang()
        agent.driver.faults.inject("start.spawn", hang)
        async with asyncio.TaskGroup() as group:
            group.create_task(agent.create(new_sandbox()))
            await hang.reached.wait()
            await agent.create(new_sandbox())
            # it would not fit, even if nothing was being started
            refused_id, patient_id = new_sandbox(), new_sandbox()
            with refused(Code.NO_CAPACITY):
                await agent.create(refused_id, memory_mb=1153)
            # this one would, and waits for what is
            waiting = group.create_task(agent.create(patient_id, memory_mb=641))
            capacity = agent.host._parts.capacity
            await eventually(lambda: bool(capacity._started._waiters))
            assert {refused_id, patient_id}.isdisjoint(await agent.inventory())
            hang.released.set()
        assert waiting.result().stages[0].name == "queue"
        assert patient_id in await agent.inventory()


async def test_memory_that_does_not_come_free_is_not_waited_for_longer() -> None:
    spec = new_spec()
    capacity = Capacity(lambda: 256 + 640)
    async with capacity.held_for(spec):
        with pytest.raises(AgentError) as refusal:
            async with capacity.held_for(spec, wait_seconds=0.01):
                pass
    assert refusal.value.code is Code.NO_CAPACITY
    async with capacity.held_for(spec):
        pass


async def test_memory_of_the_pool_counts_as_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, available_mb=lambda: 256 + 600) as agent:
        with refused(Code.NO_CAPACITY):
            await agent.create(new_sandbox())
    monkeypatch.setattr(SimulatedDriver, "reclaimable_mb", lambda _: 40)
    async with serving(tmp_path / "pooled", available_mb=lambda: 256 + 600) as agent:
        await agent.create(new_sandbox())


async def test_a_ping_is_activity(agent: Served) -> None:
    sandbox_id = new_sandbox()
    created = await agent.create(sandbox_id)
    pinged = await agent.ping(sandbox_id)
    assert pinged.last_active_at.ToNanoseconds() > created.last_active_at.ToNanoseconds()
    assert pinged.sequence == created.sequence
    await agent.pause(sandbox_id, 2)
    assert state_of(await agent.ping(sandbox_id)) == "paused"


async def test_a_guest_that_does_not_answer_a_ping_is_reported(agent: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    monkeypatch.setattr("agent.host.PING_DEADLINE_SECONDS", 0.05)
    agent.driver.faults.inject("ping", Hang())
    with refused(Code.GUEST_UNRESPONSIVE):
        await agent.ping(sandbox_id)


async def test_everything_is_paused_when_the_host_is_shut_down(agent: Served) -> None:
    sandboxes = [new_sandbox() for _ in range(5)]
    for sandbox_id in sandboxes:
        await agent.create(sandbox_id)
    await agent.pause(sandboxes[0], 2)
    agent.driver.faults.inject("pause.save", Fail(AgentError(Code.DISK_FULL, "The disk is full.")))
    machines = await agent.pause_all()
    assert sorted(map(state_of, machines)) == ["paused"] * 3 + ["running"]
    assert {cause_of(machine) for machine in machines if state_of(machine) == "paused"} == {"shutdown"}
    assert {machine.generation for machine in machines} == {1}
    with refused(Code.SHUTTING_DOWN):
        await agent.create(new_sandbox())
    with refused(Code.SHUTTING_DOWN):
        await agent.resume(sandboxes[0], 3)
    (left,) = await agent.pause_all()
    assert state_of(left) == "paused"
    assert await agent.pause_all() == []


async def test_hundreds_of_sandboxes_at_once(agent: Served) -> None:
    sandboxes = [new_sandbox() for _ in range(300)]
    created = await asyncio.gather(*map(agent.create, sandboxes))
    assert len({machine.sequence for machine in created}) == 300
    assert sorted(await agent.inventory()) == sorted(sandboxes)
    await asyncio.gather(*(agent.destroy(sandbox_id, 2) for sandbox_id in sandboxes))
    assert agent.host._keepers == {}
    assert await agent.driver.leftovers() == frozenset()


async def _outcome(call: object) -> Code | None:
    """Waits for a call, whatever becomes of it."""
    try:
        await call  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        return Code(dict(error.trailing_metadata())["nestbox-code"])
    return None

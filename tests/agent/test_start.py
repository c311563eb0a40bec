"""Starting a stopped sandbox from its kept disk, over gRPC, on the simulated driver."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.drivers.driver import Death
from agent.drivers.simulated import Die, Fail
from agent.errors import AgentError, Code
from agent.machine import Cause
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import Served, cause_of, new_sandbox, refused, serving, state_of, uuid_of
from tests.waiting import eventually


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def stopped(agent: Served, sandbox_id: str) -> None:
    async def holds() -> bool:
        return await agent.state(sandbox_id) == "stopped"

    await eventually(holds)


async def a_stopped_one(agent: Served) -> str:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, environment={"NAME": "value"})
    await agent.write(sandbox_id, "/root/file", b"kept")
    agent.driver.crash(uuid_of(sandbox_id))
    await stopped(agent, sandbox_id)
    return sandbox_id


async def test_it_has_its_disk_its_environment_and_a_new_incarnation(agent: Served) -> None:
    sandbox_id = await a_stopped_one(agent)
    before = (await agent.inventory())[sandbox_id]
    started = await agent.start(sandbox_id, 2, timeout_sec=60)
    assert await agent.start(sandbox_id, 2, timeout_sec=60) == started
    assert (state_of(started), cause_of(started), started.detail) == ("running", "user", "")
    assert (started.generation, started.timeout_sec) == (2, 60)
    assert started.incarnation != before.incarnation
    assert [stage.name for stage in started.stages] == ["queue", "record", "image", "spawn", "guest"]
    assert await agent.read(sandbox_id, "/root/file") == b"kept"
    assert b"NAME=value" in (await agent.run(sandbox_id, "env")).stdout
    assert state_of(await agent.pause(sandbox_id, 3)) == "paused"
    assert state_of(await agent.resume(sandbox_id, 4)) == "running"


@pytest.mark.parametrize(
    "fault", [Fail(AgentError(Code.START_FAILED, "It did not boot.")), Die(Death(Cause.CRASHED, "It broke."))]
)
async def test_after_a_failure_it_is_stopped_as_it_was_and_can_be_tried_again(agent: Served, fault: Fail | Die) -> None:
    sandbox_id = await a_stopped_one(agent)
    agent.driver.faults.inject("boot.guest", fault)
    with refused(Code.START_FAILED):
        await agent.start(sandbox_id, 2)
    machine = (await agent.inventory())[sandbox_id]
    assert (state_of(machine), cause_of(machine)) == ("stopped", "start_failed")
    assert machine.detail
    with refused(Code.START_FAILED):
        await agent.start(sandbox_id, 2)
    await agent.start(sandbox_id, 3)
    assert await agent.read(sandbox_id, "/root/file") == b"kept"


async def test_only_a_stopped_one_can_be_started(agent: Served) -> None:
    sandbox_id = new_sandbox()
    with refused(Code.NO_SUCH_MACHINE):
        await agent.start(sandbox_id, 1)
    created = await agent.create(sandbox_id)
    running = await agent.start(sandbox_id, 2)
    assert (running.incarnation, running.generation) == (created.incarnation, 2)
    await agent.pause(sandbox_id, 3)
    with refused(Code.WRONG_STATE):
        await agent.start(sandbox_id, 4)
    await agent.destroy(sandbox_id, 5)
    with refused(Code.NO_SUCH_MACHINE):
        await agent.start(sandbox_id, 6)


async def test_a_host_that_is_shut_down_starts_nothing(agent: Served) -> None:
    sandbox_id = await a_stopped_one(agent)
    await agent.pause_all()
    with refused(Code.SHUTTING_DOWN):
        await agent.start(sandbox_id, 2)
    assert await agent.state(sandbox_id) == "stopped"


async def test_a_resume_says_why(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    await agent.pause(sandbox_id, 2)
    request = pb.ResumeMachineRequest(sandbox_id=sandbox_id, generation=3, cause=pb.CAUSE_AUTO_RESUME)
    assert cause_of(await agent.stub.ResumeMachine(request, metadata=agent.metadata)) == "auto_resume"
    request = pb.ResumeMachineRequest(sandbox_id=sandbox_id, generation=4, cause=pb.CAUSE_HUNG)
    with refused(Code.INVALID):
        await agent.stub.ResumeMachine(request, metadata=agent.metadata)

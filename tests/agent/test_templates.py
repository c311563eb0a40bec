"""Templates that are made of sandboxes, and forks, over gRPC on the simulated driver."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from agent.drivers.simulated import Fail, Hang
from agent.errors import AgentError, Code
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import Clock, Served, new_sandbox, new_template, refused, running, serving, state_of
from tests.waiting import eventually

SNAPSHOT = pb.TEMPLATE_TYPE_SNAPSHOT


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def agent(tmp_path: Path, clock: Clock) -> AsyncIterator[Served]:
    async with serving(tmp_path, clock=clock) as served:
        yield served


async def ready(agent: Served, template_id: str) -> pb.Template:
    await eventually(lambda: is_in(agent, template_id, pb.TEMPLATE_STATE_READY))
    return (await agent.templates())[template_id]


async def is_in(agent: Served, template_id: str, state: "pb.TemplateState.ValueType") -> bool:
    template = (await agent.templates()).get(template_id)
    return template is not None and template.state == state


async def test_a_template_of_a_running_sandbox_appears_when_it_is_complete(agent: Served) -> None:
    parent, template_id, hang = await running(agent), new_template(), Hang()
    agent.driver.faults.inject("make_template", hang)
    machine = await agent.snapshot(parent, 2, template_id, "with-file")
    assert state_of(machine) == "running"
    await hang.reached.wait()
    building = (await agent.templates())[template_id]
    assert (building.state, building.name, building.sandbox_id) == (pb.TEMPLATE_STATE_BUILDING, "with-file", parent)
    # the sandbox has gone on meanwhile
    await agent.write(parent, "/root/file", b"changed")
    hang.released.set()
    template = await ready(agent, template_id)
    assert (template.vcpus, template.memory_mb, template.disk_size_mb) == (1, 512, 5120)
    assert [stage.name for stage in template.stages] == ["queue", "build"]
    child = new_sandbox()
    await agent.create(child, template_type=SNAPSHOT, template_id=template_id)
    assert await agent.read(child, "/root/file") == b"kept"
    assert await agent.read(parent, "/root/file") == b"changed"
    assert not agent.driver._snapshots.all()


async def test_a_template_of_a_paused_sandbox_leaves_it_paused(agent: Served) -> None:
    parent, template_id = await running(agent), new_template()
    await agent.pause(parent, 2)
    assert state_of(await agent.snapshot(parent, 3, template_id)) == "paused"
    await ready(agent, template_id)
    assert state_of(await agent.resume(parent, 4)) == "running"


async def test_the_same_command_again_makes_no_second_template(agent: Served) -> None:
    parent, template_id = await running(agent), new_template()
    answers = await asyncio.gather(*(agent.snapshot(parent, 2, template_id) for _ in range(10)))
    assert {state_of(answer) for answer in answers} == {"running"}
    await ready(agent, template_id)
    assert state_of(await agent.snapshot(parent, 2, template_id)) == "running"
    with refused(Code.INVALID, "another template"):
        await agent.snapshot(parent, 3, template_id)
    assert len(await agent.templates()) == 1


async def test_a_template_that_cannot_be_made_says_why_and_leaves_the_sandbox_alone(agent: Served) -> None:
    parent, template_id = await running(agent), new_template()
    full = AgentError(Code.DISK_FULL, "The host's disk is full.")
    agent.driver.faults.inject("make_template", Fail(full))
    await agent.snapshot(parent, 2, template_id)
    await eventually(lambda: is_in(agent, template_id, pb.TEMPLATE_STATE_FAILED))
    template = (await agent.templates())[template_id]
    assert (template.error_code, template.detail) == ("DISK_FULL", full.message)
    agent.driver.faults.inject("snapshot.save", Fail(full))
    other = new_template()
    with refused(Code.DISK_FULL):
        await agent.snapshot(parent, 3, other)
    assert (await agent.templates())[other].error_code == "DISK_FULL"
    assert await agent.state(parent) == "running"
    assert await agent.read(parent, "/root/file") == b"kept"
    assert not agent.driver._snapshots.all()
    assert not agent.driver._templates.all()


async def test_a_template_in_use_is_not_deleted(agent: Served) -> None:
    parent, template_id, child = await running(agent), new_template(), new_sandbox()
    await agent.snapshot(parent, 2, template_id)
    await ready(agent, template_id)
    await agent.create(child, template_type=SNAPSHOT, template_id=template_id)
    with refused(Code.TEMPLATE_IN_USE, "1 sandboxes"):
        await agent.delete_template(template_id)
    await agent.pause(child, 2)
    with refused(Code.TEMPLATE_IN_USE):
        await agent.delete_template(template_id)
    await agent.destroy(child, 3)
    for _ in range(2):
        assert (await agent.delete_template(template_id)).state == pb.TEMPLATE_STATE_DELETED
    with refused(Code.UNKNOWN_TEMPLATE):
        await agent.create(new_sandbox(), template_type=SNAPSHOT, template_id=template_id)


async def test_a_template_that_is_being_built_can_be_deleted(agent: Served) -> None:
    parent, template_id, hang = await running(agent), new_template(), Hang()
    agent.driver.faults.inject("make_template", hang)
    await agent.snapshot(parent, 2, template_id)
    await hang.reached.wait()
    assert (await agent.delete_template(template_id)).state == pb.TEMPLATE_STATE_DELETED
    assert not agent.driver._templates.all()
    assert not agent.driver._snapshots.all()
    # the next one is not held up
    other = new_template()
    await agent.snapshot(parent, 3, other)
    await ready(agent, other)


async def test_a_snapshot_for_a_deleted_template_is_refused(agent: Served) -> None:
    parent, template_id = await running(agent), new_template()
    assert (await agent.delete_template(template_id)).state == pb.TEMPLATE_STATE_DELETED
    with refused(Code.WRONG_STATE, "deleted"):
        await agent.snapshot(parent, 2, template_id)
    assert await agent.state(parent) == "running"


async def test_forks_and_templates_survive_the_agent(tmp_path: Path) -> None:
    snapshot_id, template_id, child, hang = str(uuid4()), new_template(), new_sandbox(), Hang()
    async with serving(tmp_path) as agent:
        parent = await running(agent)
        await agent.fork(parent, 2, snapshot_id, child)
        agent.driver.faults.inject("make_template", hang)
        await agent.snapshot(parent, 3, template_id)
        await hang.reached.wait()
    async with serving(tmp_path) as agent:
        await ready(agent, template_id)
        await agent.create(child, snapshot_id=snapshot_id)
        assert await agent.read(child, "/root/file") == b"kept"


async def test_what_makes_no_sense_is_refused(agent: Served) -> None:
    parent, same = await running(agent), new_sandbox()
    for snapshot_id, children in (("x", [same]), (str(uuid4()), [same, same]), (str(uuid4()), ["sb-1"])):
        with refused(Code.INVALID):
            await agent.fork(parent, 2, snapshot_id, *children)
    for template_id, name in (("tpl-x", "a"), (new_template(), "Capital"), (new_template(), "")):
        with refused(Code.INVALID):
            await agent.snapshot(parent, 2, template_id, name)
    with refused(Code.NO_SUCH_MACHINE):
        await agent.snapshot(new_sandbox(), 2, new_template())
    await agent.pause(parent, 3)
    with refused(Code.WRONG_STATE):
        await agent.fork(parent, 4, str(uuid4()), same)
    assert await agent.state(parent) == "paused"


async def test_commands_run_while_a_sandbox_is_snapshotted(agent: Served) -> None:
    parent, hang = await running(agent), Hang()
    agent.driver.faults.inject("snapshot.save", hang)
    snapshot = asyncio.ensure_future(agent.snapshot(parent, 2, new_template()))
    await hang.reached.wait()
    assert await agent.state(parent) == "snapshotting"
    assert (await agent.run(parent, "echo", "still there")).stdout == b"still there\n"
    # a delete waits for it, and goes first over everything that comes later
    destroy = asyncio.ensure_future(agent.destroy(parent, 3))
    hang.released.set()
    await snapshot
    assert state_of(await destroy) == "deleted"

"""What is kept of sandboxes for their children, over gRPC on the simulated driver."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from agent.drivers.simulated import Fail
from agent.errors import AgentError, Code
from agent.forks import FORK_KEPT_SECONDS
from tests.agent.serving import Clock, Served, hanging, new_sandbox, new_template, refused, running, serving, state_of

FULL = AgentError(Code.DISK_FULL, "The host's disk is full.")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def agent(tmp_path: Path, clock: Clock) -> AsyncIterator[Served]:
    async with serving(tmp_path, clock=clock) as served:
        yield served


async def test_a_fork_has_its_parents_files_and_its_own(agent: Served) -> None:
    parent, snapshot_id = await running(agent), str(uuid4())
    children = [new_sandbox() for _ in range(3)]
    assert state_of(await agent.fork(parent, 2, snapshot_id, *children)) == "running"
    for child in children:
        assert state_of(await agent.create(child, snapshot_id=snapshot_id)) == "running"
        assert await agent.read(child, "/root/file") == b"kept"
        await agent.write(child, "/root/file", child.encode())
    assert await agent.read(parent, "/root/file") == b"kept"
    await agent.host._parts.forks.tend()
    assert not agent.driver._snapshots.all()
    assert not await agent.host._parts.ledger.forks()
    with refused(Code.UNKNOWN_SNAPSHOT):
        await agent.create(new_sandbox(), snapshot_id=snapshot_id)


async def test_the_driver_is_told_how_many_are_going_to_start(agent: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    snapshot = agent.driver.snapshot

    async def noted(*given: Any) -> None:
        told.append(given[-1])
        await snapshot(*given)

    monkeypatch.setattr(agent.driver, "snapshot", noted)
    parent = await running(agent)
    await agent.fork(parent, 2, str(uuid4()), *(new_sandbox() for _ in range(3)))
    await agent.snapshot(parent, 3, new_template())
    assert told == [3, 0]


async def test_what_is_kept_for_children_goes_when_they_never_come(agent: Served, clock: Clock) -> None:
    parent, snapshot_id, child = await running(agent), uuid4(), new_sandbox()
    await agent.fork(parent, 2, str(snapshot_id), child)
    await agent.host._parts.forks.tend()
    assert agent.driver._snapshots.has(snapshot_id)
    clock.ahead += FORK_KEPT_SECONDS
    await agent.host._parts.forks.tend()
    assert not agent.driver._snapshots.has(snapshot_id)


@pytest.mark.parametrize("children", [0, 101])
async def test_a_fork_of_too_few_or_too_many_is_refused(agent: Served, children: int) -> None:
    parent = await running(agent)
    with refused(Code.INVALID):
        await agent.fork(parent, 2, str(uuid4()), *(new_sandbox() for _ in range(children)))


async def test_what_is_kept_is_not_dropped_under_a_child_that_is_starting(agent: Served, clock: Clock) -> None:
    parent, snapshot_id, child, late = await running(agent), uuid4(), new_sandbox(), new_sandbox()
    await agent.fork(parent, 2, str(snapshot_id), child, late)
    async with asyncio.TaskGroup() as group, hanging(agent, "start.restore") as hang:
        creating = group.create_task(agent.create(child, snapshot_id=str(snapshot_id)))
        await hang.reached.wait()
        clock.ahead += FORK_KEPT_SECONDS
        await agent.host._parts.forks.tend()
        assert agent.driver._snapshots.has(snapshot_id)
        hang.released.set()
        assert state_of(await creating) == "running"
    assert await agent.read(child, "/root/file") == b"kept"
    async with asyncio.TaskGroup() as group, hanging(agent, "drop_snapshot") as hang:
        tending = group.create_task(agent.host._parts.forks.tend())
        await hang.reached.wait()
        with refused(Code.UNKNOWN_SNAPSHOT):
            await agent.create(late, snapshot_id=str(snapshot_id))
        hang.released.set()
        await tending
    assert not agent.driver._snapshots.all()


async def test_children_that_failed_or_were_deleted_are_not_waited_for(agent: Served) -> None:
    parent, snapshot_id = await running(agent), uuid4()
    failed, deleted, never = (new_sandbox() for _ in range(3))
    await agent.fork(parent, 2, str(snapshot_id), failed, deleted, never)
    agent.driver.faults.inject("start.guest", Fail(AgentError(Code.START_FAILED, "It did not come up.")))
    with refused(Code.START_FAILED):
        await agent.create(failed, snapshot_id=str(snapshot_id))
    await agent.create(deleted, snapshot_id=str(snapshot_id))
    await agent.destroy(deleted, 2)
    await agent.host._parts.forks.tend()
    assert agent.driver._snapshots.has(snapshot_id)
    # deleted before it was created
    await agent.destroy(never, 2)
    agent.driver.faults.inject("drop_snapshot", Fail(FULL))
    for is_kept in (True, False):
        await agent.host._parts.forks.tend()
        assert agent.driver._snapshots.has(snapshot_id) is is_kept


async def test_a_fork_that_was_not_completed_is_forgotten_at_the_next_start(tmp_path: Path) -> None:
    snapshot_id, child = uuid4(), new_sandbox()
    async with serving(tmp_path) as agent:
        parent = await running(agent)
        await agent.fork(parent, 2, str(snapshot_id), child)
        assert len(await agent.host._parts.ledger.forks()) == 1
    agent.driver._snapshots.drop(snapshot_id)
    async with serving(tmp_path) as agent:
        assert await agent.host._parts.ledger.forks() == []
        with refused(Code.UNKNOWN_SNAPSHOT):
            await agent.create(child, snapshot_id=str(snapshot_id))
        assert state_of(await agent.fork(parent, 3, str(snapshot_id), child)) == "running"

"""Guests that hang, over gRPC, on the simulated driver."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from agent.drivers.simulated import Fail, Hang
from agent.errors import AgentError, Code
from agent.watchdog import INTERVAL_SECONDS, MISSES_MAX, PING_SECONDS
from tests.agent.serving import Served, cause_of, new_sandbox, serving, state_of, uuid_of
from tests.agent.test_idle import until
from tests.waiting import eventually

NOTICED_SECONDS = 45
UNRESPONSIVE = AgentError(Code.GUEST_UNRESPONSIVE, "It does not answer.")


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        served.host.watchdog.ping_seconds = 0.01
        yield served


async def looked(agent: Served) -> None:
    """One round over all machines, to its end."""
    agent.host.watchdog.look()
    await eventually(lambda: not agent.host.watchdog._under_way)


def test_the_bound_is_kept() -> None:
    assert INTERVAL_SECONDS + MISSES_MAX * PING_SECONDS < NOTICED_SECONDS


async def test_a_guest_that_answers_no_more_is_ended_and_its_disk_kept(agent: Served) -> None:
    hung, well = new_sandbox(), new_sandbox()
    await agent.create(hung)
    await agent.write(hung, "/root/file", b"kept")
    for _ in range(MISSES_MAX - 1):
        agent.driver.faults.inject("ping", Hang())
    agent.driver.faults.inject("ping", Fail(UNRESPONSIVE))
    await looked(agent)
    machine = await until(agent, hung, "stopped")
    assert cause_of(machine) == "hung"
    assert "did not answer" in machine.detail
    assert agent.driver._state(uuid_of(hung)) == "stopped"
    await agent.create(well)
    await looked(agent)
    assert await agent.state(well) == "running"
    await agent.start(hung, 2)
    assert await agent.read(hung, "/root/file") == b"kept"


async def test_one_that_is_slow_for_a_while_is_not_taken_for_hung(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    for _ in range(3):
        for _ in range(MISSES_MAX - 1):
            agent.driver.faults.inject("ping", Fail(UNRESPONSIVE))
        await looked(agent)
    assert agent.driver.faults.unfired == 0
    assert await agent.state(sandbox_id) == "running"


async def test_one_that_is_being_paused_is_left_alone(agent: Served) -> None:
    sandbox_id, hang = new_sandbox(), Hang()
    await agent.create(sandbox_id)
    agent.driver.faults.inject("pause.save", hang)
    async with asyncio.TaskGroup() as group:
        pausing = group.create_task(agent.pause(sandbox_id, 2))
        await hang.reached.wait()
        for _ in range(MISSES_MAX):
            agent.driver.faults.inject("ping", Fail(UNRESPONSIVE))
        await looked(agent)
        hang.released.set()
    assert state_of(pausing.result()) == "paused"


async def test_one_that_waits_for_room_on_the_disk_is_not_taken_for_hung_and_says_so(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    live = agent.driver._machines[uuid_of(sandbox_id)]
    live.waits_for_room = True
    agent.driver.faults.inject("ping", Fail(UNRESPONSIVE))
    await looked(agent)
    assert agent.driver.faults.unfired == 1, "it was not even asked"
    # it stands still while it is being asked
    live.waits_for_room = False
    hang = Hang()
    agent.driver.faults.inject("ping", hang)
    for _ in range(MISSES_MAX):
        agent.driver.faults.inject("ping", Fail(UNRESPONSIVE))
    agent.host.watchdog.look()
    await eventually(hang.reached.is_set)
    live.waits_for_room = True
    await eventually(lambda: not agent.host.watchdog._under_way)
    machine = (await agent.inventory())[sandbox_id]
    assert (state_of(machine), machine.waits_for_room) == ("running", True)
    assert (await agent.pause(sandbox_id, 2)).waits_for_room is False
    assert (await agent.resume(sandbox_id, 3)).waits_for_room is False


async def test_its_pings_are_no_activity(agent: Served) -> None:
    sandbox_id = new_sandbox()
    created = await agent.create(sandbox_id, timeout_sec=60)
    await looked(agent)
    assert (await agent.inventory())[sandbox_id].last_active_at == created.last_active_at

"""Idle machines are paused: over gRPC, on the simulated driver, with clocks that are set."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from agent.drivers.driver import Death
from agent.drivers.simulated import Die, Fail, Hang
from agent.errors import AgentError, Code
from agent.idle import BACK_OFF_SECONDS
from agent.machine import Cause
from agent.reaper import PAUSES_MAX
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import (
    Clock,
    Served,
    cause_of,
    creation,
    iter_of,
    new_sandbox,
    refused,
    serving,
    state_of,
    uuid_of,
)
from tests.agent.test_watch import Watcher
from tests.waiting import eventually

HOUR = 3600


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def agent(tmp_path: Path, clock: Clock) -> AsyncIterator[Served]:
    async with serving(tmp_path, clock=clock) as served:
        yield served


async def until(agent: Served, sandbox_id: str, state: str) -> pb.Machine:
    async def holds() -> bool:
        return await agent.state(sandbox_id) == state

    await eventually(holds)
    return (await agent.inventory())[sandbox_id]


async def settled(agent: Served) -> None:
    """Every command is done."""
    keepers = list(agent.host._keepers.values())
    await asyncio.gather(*(job for keeper in keepers for job in keeper.outcomes()), return_exceptions=True)


async def test_a_machine_in_which_nothing_happens_is_paused_and_says_why(agent: Served, clock: Clock) -> None:
    idle, never = new_sandbox(), new_sandbox()
    created = await agent.create(idle, timeout_sec=HOUR)
    await agent.create(never)
    await agent.host.reaper.sweep()
    await settled(agent)
    assert await agent.state(idle) == "running"
    clock.ahead = HOUR + 1
    await agent.host.reaper.sweep()
    machine = await until(agent, idle, "paused")
    assert (cause_of(machine), machine.generation, machine.timeout_sec) == ("idle_timeout", 1, HOUR)
    assert machine.sequence > created.sequence
    assert not machine.HasField("auto_pause_at")
    assert await agent.state(never) == "running"
    resumed = await agent.resume(idle, 2, timeout_sec=HOUR)
    assert resumed.timeout_sec == HOUR
    await agent.host.reaper.sweep()
    await settled(agent)
    assert await agent.state(idle) == "running"


@pytest.mark.parametrize("activity", ["exec", "write", "read", "ping", "set_timeout"])
async def test_everything_that_is_done_with_it_is_activity(agent: Served, clock: Clock, activity: str) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, timeout_sec=HOUR)
    await agent.write(sandbox_id, "/root/file", b"content")
    for _ in range(3):
        clock.ahead += HOUR * 0.9
        match activity:
            case "exec":
                await agent.run(sandbox_id, "true")
            case "write":
                await agent.write(sandbox_id, "/root/file", b"more")
            case "read":
                await agent.read(sandbox_id, "/root/file")
            case "ping":
                await agent.ping(sandbox_id)
            case "set_timeout":
                await agent.set_timeout(sandbox_id, HOUR)
        await agent.host.reaper.sweep()
        await settled(agent)
        assert await agent.state(sandbox_id) == "running"
    clock.ahead += HOUR
    await agent.host.reaper.sweep()
    await until(agent, sandbox_id, "paused")


async def test_a_command_or_transfer_that_runs_is_activity_however_long(agent: Served, clock: Clock) -> None:
    running, writing = new_sandbox(), new_sandbox()
    for sandbox_id in (running, writing):
        await agent.create(sandbox_id, timeout_sec=HOUR)
    start = pb.ExecStart(sandbox_id=running, argv=("sleep", "60"))
    call = agent.stub.Exec(iter_of([pb.ExecRequest(start=start)]), metadata=agent.metadata)
    await call.read()
    upload = agent.stub.WriteFile(metadata=agent.metadata)
    await upload.write(pb.WriteFileRequest(start=pb.WriteFileStart(sandbox_id=writing, path="/root/file")))
    keeper = agent.host._keepers[uuid_of(writing)]
    await eventually(lambda: keeper.lifecycle.timer.users == 1)
    clock.ahead = 10 * HOUR
    await agent.host.reaper.sweep()
    await settled(agent)
    inventory = await agent.inventory()
    assert {state_of(inventory[sandbox_id]) for sandbox_id in (running, writing)} == {"running"}
    assert not inventory[running].HasField("auto_pause_at")
    call.cancel()
    upload.cancel()
    await eventually(lambda: agent.host._keepers[uuid_of(running)].lifecycle.timer.users == 0)
    await agent.host.reaper.sweep()
    await settled(agent)
    assert await agent.state(running) == "running"
    clock.ahead += HOUR
    await agent.host.reaper.sweep()
    await until(agent, running, "paused")


@pytest.mark.parametrize("days", [-3650, 3650])
async def test_a_jump_of_the_time_of_day_pauses_nobody(agent: Served, clock: Clock, days: int) -> None:
    sandboxes = [new_sandbox() for _ in range(20)]
    for sandbox_id in sandboxes:
        await agent.create(sandbox_id, timeout_sec=60)
    clock.time_of_day_ahead = timedelta(days=days)
    await agent.host.reaper.sweep()
    await settled(agent)
    inventory = await agent.inventory()
    assert {state_of(machine) for machine in inventory.values()} == {"running"}
    seen = {machine.auto_pause_at.ToDatetime(clock.now().tzinfo) for machine in inventory.values()}
    assert all(abs(at - clock.now()) < timedelta(seconds=61) for at in seen)


async def test_when_it_will_be_paused_is_told_as_it_changes(agent: Served, clock: Clock) -> None:
    sandbox_id = new_sandbox()
    watcher = Watcher(agent)
    await watcher.inventory()
    await agent.create(sandbox_id, timeout_sec=HOUR)
    starting, running = await watcher.change(), await watcher.change()
    assert not starting.HasField("auto_pause_at")
    first = running.auto_pause_at.ToDatetime(clock.now().tzinfo)
    assert abs(first - clock.now() - timedelta(seconds=HOUR)) < timedelta(seconds=5)
    clock.ahead = 600
    await agent.ping(sandbox_id)
    await agent.host.reaper.sweep()
    moved = await watcher.change()
    assert moved.sequence > running.sequence
    assert abs(moved.auto_pause_at.ToDatetime(clock.now().tzinfo) - first - timedelta(seconds=600)) < timedelta(
        seconds=5
    )
    never = await agent.set_timeout(sandbox_id, 0)
    assert not never.HasField("auto_pause_at")
    assert not (await watcher.change()).HasField("auto_pause_at")
    again = await agent.set_timeout(sandbox_id, 60)
    assert abs(again.auto_pause_at.ToDatetime(clock.now().tzinfo) - clock.now()) < timedelta(seconds=61)


async def test_what_cannot_be_paused_runs_on_and_is_tried_again_later(agent: Served, clock: Clock) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, timeout_sec=60)
    for attempt in range(3):
        agent.driver.faults.inject("pause.save", Fail(AgentError(Code.DISK_FULL, "The host's disk is full.")))
        clock.ahead += 61 if attempt == 0 else BACK_OFF_SECONDS * 2 ** (attempt - 1) + 1
        await agent.host.reaper.sweep()
        await settled(agent)
        assert agent.driver.faults.unfired == 0
        machine = (await agent.inventory())[sandbox_id]
        assert (state_of(machine), cause_of(machine)) == ("running", "user")
        assert machine.detail == "The host's disk is full."
        assert machine.auto_pause_at.ToDatetime(clock.now().tzinfo) > clock.now()
        await agent.host.reaper.sweep()
        await settled(agent)
        assert await agent.state(sandbox_id) == "running"
    clock.ahead += BACK_OFF_SECONDS * 4 + 1
    await agent.host.reaper.sweep()
    assert cause_of(await until(agent, sandbox_id, "paused")) == "idle_timeout"


async def test_one_that_dies_while_it_is_paused_is_stopped_with_the_cause_of_it(agent: Served, clock: Clock) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, timeout_sec=60)
    agent.driver.faults.inject("pause.save", Die(Death(Cause.OUT_OF_MEMORY, "It was too large.")))
    clock.ahead = 61
    await agent.host.reaper.sweep()
    machine = await until(agent, sandbox_id, "stopped")
    assert cause_of(machine) == "out_of_memory"


async def test_only_some_are_paused_at_once(agent: Served, clock: Clock) -> None:
    hangs = [Hang() for _ in range(PAUSES_MAX)]
    sandboxes = [new_sandbox() for _ in range(PAUSES_MAX + 2)]
    for sandbox_id in sandboxes:
        await agent.create(sandbox_id, timeout_sec=60)
    for hang in hangs:
        agent.driver.faults.inject("pause.stop", hang)
    clock.ahead = 61
    await agent.host.reaper.sweep()
    for hang in hangs:
        await hang.reached.wait()
    await agent.host.reaper.sweep()
    states = [state_of(machine) for machine in (await agent.inventory()).values()]
    assert sorted(states) == ["pausing"] * PAUSES_MAX + ["running"] * 2
    for hang in hangs:
        hang.released.set()
    await settled(agent)
    await agent.host.reaper.sweep()
    for sandbox_id in sandboxes:
        await until(agent, sandbox_id, "paused")


async def test_a_pause_that_has_begun_is_finished_while_the_agent_stops(tmp_path: Path, clock: Clock) -> None:
    hang = Hang()
    sandbox_id = new_sandbox()
    async with asyncio.TaskGroup() as group, serving(tmp_path, clock=clock) as agent:
        await agent.create(sandbox_id, timeout_sec=60)
        agent.driver.faults.inject("pause.save", hang)
        clock.ahead = 61
        await agent.host.reaper.sweep()
        await hang.reached.wait()
        group.create_task(_release_once_closed(agent, hang))
    async with serving(tmp_path, clock=clock) as agent:
        machine = (await agent.inventory())[sandbox_id]
        assert (state_of(machine), cause_of(machine)) == ("paused", "idle_timeout")


async def _release_once_closed(agent: Served, hang: Hang) -> None:
    await eventually(lambda: agent.host._parts.closed_to_new)
    hang.released.set()


async def test_after_a_restart_of_the_agent_everybody_has_the_whole_timeout(tmp_path: Path, clock: Clock) -> None:
    sandbox_id = new_sandbox()
    async with serving(tmp_path, clock=clock) as agent:
        await agent.create(sandbox_id, timeout_sec=60)
    clock.ahead = 120
    async with serving(tmp_path, clock=clock) as agent:
        await agent.host.reaper.sweep()
        await settled(agent)
        machine = (await agent.inventory())[sandbox_id]
        assert state_of(machine) == "running"
        assert machine.auto_pause_at.ToDatetime(clock.now().tzinfo) > clock.now() + timedelta(seconds=50)
        clock.ahead += 61
        await agent.host.reaper.sweep()
        await until(agent, sandbox_id, "paused")


async def test_commands_are_not_kept_from_it_by_an_idle_pause(agent: Served, clock: Clock) -> None:
    """What comes while it is being paused waits for the outcome, and is judged by it."""
    hang = Hang()
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, timeout_sec=60)
    agent.driver.faults.inject("pause.save", hang)
    clock.ahead = 61
    await agent.host.reaper.sweep()
    await hang.reached.wait()
    with refused(Code.WRONG_STATE, "pausing"):
        await agent.run(sandbox_id, "true")
    async with asyncio.TaskGroup() as group:
        pausing = group.create_task(agent.pause(sandbox_id, 2))
        await eventually(lambda: len(agent.host._keepers[uuid_of(sandbox_id)].outcomes()) == 2)
        hang.released.set()
    assert (state_of(pausing.result()), pausing.result().generation) == ("paused", 2)
    assert state_of(await agent.destroy(sandbox_id, 3)) == "deleted"
    with refused(Code.WRONG_STATE):
        await agent.stub.CreateMachine(creation(sandbox_id, 4), metadata=agent.metadata)

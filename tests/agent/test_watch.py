"""The inventory and its changes over gRPC."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest_asyncio

from agent.errors import Code
from agent.inventory import WATCH_QUEUE_MAX
from agent.machine import Cause
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import Served, cause_of, new_sandbox, refused, serving, state_of, uuid_of
from tests.agent.test_ledger import a_machine
from tests.waiting import eventually

DEATH_SEEN_SECONDS = 0.1


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


class Watcher:
    """Reads a watch from its beginning."""

    def __init__(self, agent: Served) -> None:
        self.call = agent.stub.WatchMachines(pb.WatchMachinesRequest(), metadata=agent.metadata)

    async def inventory(self) -> pb.ListMachinesResponse:
        first = await self._next()
        assert first.WhichOneof("event") == "inventory"
        return first.inventory

    async def change(self) -> pb.Machine:
        response = await self._next()
        assert response.WhichOneof("event") == "changed"
        return response.changed

    async def _next(self) -> pb.WatchMachinesResponse:
        response = await asyncio.wait_for(self.call.read(), 10)
        assert isinstance(response, pb.WatchMachinesResponse)
        return response


async def test_a_watch_begins_with_all_machines_and_tells_every_step(agent: Served) -> None:
    before, sandbox_id = new_sandbox(), new_sandbox()
    await agent.create(before)
    watcher = Watcher(agent)
    inventory = await watcher.inventory()
    assert [machine.sandbox_id for machine in inventory.machines] == [before]
    await agent.create(sandbox_id)
    await agent.pause(sandbox_id, 2)
    await agent.resume(sandbox_id, 3)
    await agent.destroy(sandbox_id, 4)
    changes = [await watcher.change() for _ in range(8)]
    assert [state_of(machine) for machine in changes] == [
        "starting", "running", "pausing", "paused", "resuming", "running", "deleting", "deleted",
    ]  # fmt: skip
    assert [machine.generation for machine in changes] == [1, 1, 2, 2, 3, 3, 4, 4]
    sequences = [inventory.sequence, *(machine.sequence for machine in changes)]
    assert sequences == sorted(set(sequences))


async def test_nothing_is_lost_between_the_inventory_and_the_changes(agent: Served) -> None:
    sandboxes = [new_sandbox() for _ in range(60)]
    async with asyncio.TaskGroup() as group:
        for sandbox_id in sandboxes:
            group.create_task(agent.create(sandbox_id))
        watchers = [group.create_task(_follow(agent, sandboxes)) for _ in range(5)]
    for watcher in watchers:
        assert watcher.result() == _sequences(await agent.inventory())


async def test_the_death_of_a_machine_is_told_at_once_with_its_cause(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id)
    watcher = Watcher(agent)
    await watcher.inventory()
    for generation, cause in ((2, Cause.OUT_OF_MEMORY), (4, Cause.KILLED)):
        since = time.perf_counter()
        agent.driver.crash(uuid_of(sandbox_id), cause, "It was the test.")
        machine = await watcher.change()
        assert time.perf_counter() - since < DEATH_SEEN_SECONDS
        assert (state_of(machine), cause_of(machine)) == ("stopped", cause.value)
        assert machine.detail == "It was the test."
        with refused(Code.WRONG_STATE):
            await agent.pause(sandbox_id, generation)
        await agent.destroy(sandbox_id, generation + 1)
        sandbox_id = new_sandbox()
        await agent.create(sandbox_id)
        watcher = Watcher(agent)
        await watcher.inventory()


async def test_a_watcher_that_does_not_read_is_ended_and_can_start_over(agent: Served) -> None:
    watcher = Watcher(agent)
    await watcher.inventory()
    # Large changes, so that what the connection itself holds is soon full.
    machine = a_machine(detail="x" * 1000)
    await eventually(lambda: len(agent.host._parts.inventory._watches) == 1)
    for _ in range(WATCH_QUEUE_MAX + 1):
        agent.host._parts.inventory.publish(machine)
    with refused(Code.BUSY):
        while True:
            await watcher.change()
    assert len((await Watcher(agent).inventory()).machines) == 1


async def test_a_watcher_that_goes_away_is_forgotten(agent: Served) -> None:
    watcher = Watcher(agent)
    await watcher.inventory()
    watcher.call.cancel()
    await eventually(lambda: not agent.host._parts.inventory._watches)


async def test_watches_end_when_the_agent_stops(tmp_path: Path) -> None:
    async with serving(tmp_path / "other") as agent:
        watcher = Watcher(agent)
        await watcher.inventory()
        agent.host.end_watches()
        assert await watcher.call.read() is grpc.aio.EOF


async def _follow(agent: Served, sandboxes: list[str]) -> dict[str, int]:
    """What a watcher knows once all of them run."""
    watcher = Watcher(agent)
    known = {machine.sandbox_id: machine for machine in (await watcher.inventory()).machines}
    while sum(state_of(machine) == "running" for machine in known.values()) < len(sandboxes):
        machine = await watcher.change()
        known[machine.sandbox_id] = machine
    return _sequences(known)


def _sequences(machines: dict[str, pb.Machine]) -> dict[str, int]:
    return {sandbox_id: machine.sequence for sandbox_id, machine in machines.items()}

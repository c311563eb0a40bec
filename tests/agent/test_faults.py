"""Every step of every command, and what can happen there: nothing is lost, doubled or left half done."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import grpc.aio
import pytest

from agent.faults import POINTS, ArmedFaults, Kind
from agent.machine import State
from nestbox.postgres.server import free_port
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import Client, Clock, Served, cause_of, new_sandbox, serving, state_of, uuid_of
from tests.agent.test_idle import settled, until
from tests.agent.test_restart import AgentProcess
from tests.waiting import DEADLINE_SECONDS, eventually

SETTLED = {"running", "paused", "stopped", "failed", "deleted"}
NEXT, AFTER = 10, 11
TEMPLATES = {"snapshot", "build_template", "delete_template"}


def command_of(point: str) -> str:
    return point.split(".")[1]


async def prepare(client: Client, command: str, sandbox_id: str) -> None:
    """Brings it to where the command makes sense; a start's is stopped by the caller."""
    if command != "create":
        await client.create(sandbox_id, timeout_sec=60)
        await client.write(sandbox_id, "/root/file", b"kept")
    if command == "resume":
        await client.pause(sandbox_id, 2)


async def give(client: Client, command: str, sandbox_id: str) -> pb.Machine:
    match command:
        case "create":
            return await client.create(sandbox_id, NEXT)
        case "pause":
            return await client.pause(sandbox_id, NEXT)
        case "resume":
            return await client.resume(sandbox_id, NEXT)
        case "start":
            return await client.start(sandbox_id, NEXT)
        case "snapshot" | "build_template" | "delete_template":
            machine = await client.snapshot(sandbox_id, NEXT, template_of(sandbox_id))
            if command == "delete_template":
                # what could not be deleted is told again
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await client.delete_template(template_of(sandbox_id))
                await client.delete_template(template_of(sandbox_id))
            return machine
        case "fork":
            return await client.fork(sandbox_id, NEXT, str(uuid_of(sandbox_id)), child_of(sandbox_id))
        case _:
            return await client.destroy(sandbox_id, NEXT)


def child_of(sandbox_id: str) -> str:
    """One for each sandbox."""
    return f"sb-{UUID(int=uuid_of(sandbox_id).int ^ 1)}"


def template_of(sandbox_id: str) -> str:
    """One for each sandbox."""
    return f"tpl-{uuid_of(sandbox_id)}"


async def template_ends(client: Client, sandbox_id: str) -> str:
    """How the template is, as soon as nothing is done with it any more; `none` if there is none."""

    async def how() -> str:
        template = (await client.templates()).get(template_of(sandbox_id))
        state = "none" if template is None else pb.TemplateState.Name(template.state).removeprefix("TEMPLATE_STATE_")
        return state.lower()

    async def ended() -> bool:
        return await how() not in {"building", "deleting"}

    await eventually(ended)
    return await how()


@pytest.mark.parametrize("kind", [Kind.RAISE, Kind.CANCEL, Kind.TWICE])
@pytest.mark.parametrize("point", POINTS)
async def test_a_step_that_fails_or_comes_twice_leaves_nothing_half_done(
    tmp_path: Path, point: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.record.RECORD_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("agent.template_records.RECORD_RETRY_SECONDS", 0.01)
    command, sandbox_id, clock = command_of(point), new_sandbox(), Clock()
    armed = ArmedFaults({point: kind})
    async with serving(tmp_path, clock=clock, armed=armed) as agent:
        await prepare(agent, command, sandbox_id)
        if command == "start":
            agent.driver.crash(uuid_of(sandbox_id))
            await until(agent, sandbox_id, "stopped")
        if command == "auto_pause":
            clock.ahead = 61
            await agent.host.reaper.sweep()
            await settled(agent)
        else:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await give(agent, command, sandbox_id)
        await eventually(lambda: not armed._armed)
        how = await template_ends(agent, sandbox_id)
        if command in TEMPLATES:
            assert how in {"ready", "failed", "deleted", "none"}
            assert how != "failed" or kind is not Kind.TWICE
            # what failed is not in the way of another, and what is there can be used
            if how == "ready":
                child = new_sandbox()
                await agent.create(child, template_type=pb.TEMPLATE_TYPE_SNAPSHOT, template_id=template_of(sandbox_id))
                assert await agent.read(child, "/root/file") == b"kept"
                await agent.destroy(child, 2)
        before = (await agent.inventory()).get(sandbox_id)
        assert_agrees(agent, sandbox_id)
        if kind is Kind.TWICE:
            assert before is not None
            assert state_of(before) == {"pause": "paused", "auto_pause": "paused", "destroy": "deleted"}.get(
                command, "running"
            )
        if command not in {"create", "destroy"} and before is not None:
            await agent.set_timeout(sandbox_id, 0)
            await can_be_used(agent, sandbox_id)
        await agent.destroy(sandbox_id, 100)
        assert_agrees(agent, sandbox_id)
        await agent.delete_template(template_of(sandbox_id))
        await agent.destroy(child_of(sandbox_id), 100)
        await agent.host._parts.forks.tend()
        assert not list(agent.driver._folder.iterdir())


def assert_agrees(agent: Served, sandbox_id: str) -> None:
    """The inventory says what is there."""
    machine = agent.host._parts.inventory.get(uuid_of(sandbox_id))
    there = agent.driver._state(uuid_of(sandbox_id))
    if machine is None:
        assert there is None
        return
    keeper = agent.host._keepers.get(uuid_of(sandbox_id))
    runs = keeper is not None and keeper.lifecycle.live is not None
    # a delete that failed is sent again: until then the machine may be there
    assert runs == (machine.state is State.RUNNING) or machine.state is State.DELETING
    match machine.state:
        case State.RUNNING:
            assert there == str(machine.incarnation)
        case State.PAUSED | State.STOPPED:
            assert there == machine.state.value
        case State.DELETING:
            assert machine.error_code
        case state:
            assert state in {State.FAILED, State.DELETED}
            assert there is None


async def can_be_used(client: Client, sandbox_id: str) -> None:
    """Whatever became of it, it can run again, and has its file."""
    state = await client.state(sandbox_id)
    assert state in SETTLED
    if state == "paused":
        await client.resume(sandbox_id, AFTER)
    if state == "stopped":
        await client.start(sandbox_id, AFTER)
    assert await client.read(sandbox_id, "/root/file") == b"kept"
    assert state_of(await client.pause(sandbox_id, AFTER + 1)) == "paused"


def expected(point: str) -> set[str]:
    """The states that a machine may be in when the agent was killed there."""
    _, command, step = point.split(".")
    match command:
        case "create":
            return {"begin": {"unknown"}, "done": {"running"}}.get(step, {"failed"})
        case "pause":
            return {"paused"} if step in {"release", "conclude", "done"} else {"running"}
        case "auto_pause":
            # what was rolled back is idle still, and paused again
            return {"paused"} if step in {"release", "conclude", "done"} else {"running", "pausing", "paused"}
        case "resume":
            return {"running"} if step in {"conclude", "done"} else {"paused"}
        case "snapshot" | "fork" | "build_template" | "delete_template":
            return {"running"}
        case "start":
            return {"running"} if step == "done" else {"stopped"}
        case _:
            return {"running"} if step == "begin" else {"deleted"}


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_an_agent_that_is_killed_at_any_step_is_followed_by_one_that_settles_it(tmp_path: Path) -> None:
    """Each agent is killed at another point; the next one must find what is left of it as it should be."""
    middle = len(POINTS) // 2
    async with asyncio.TaskGroup() as group:
        # each mostly waits for a program to start, on a processor of its own
        for name, points in (("first", POINTS[:middle]), ("second", POINTS[middle:])):
            group.create_task(_killed_at_each(tmp_path / name, points))


async def _killed_at_each(folder: Path, points: Sequence[str]) -> None:
    agent = AgentProcess(folder, free_port())
    sandboxes = {point: new_sandbox() for point in points}
    async with agent.running() as (_, client):
        for point, sandbox_id in sandboxes.items():
            await prepare(client, command_of(point), sandbox_id)
            if command_of(point) != "create":
                await client.set_timeout(sandbox_id, 0)
    for point, sandbox_id in sandboxes.items():
        if command_of(point) == "start":
            (agent.folder / "simulated" / str(uuid_of(sandbox_id)) / "state.json").unlink()
    killed = ""
    for point, sandbox_id in sandboxes.items():
        if killed and command_of(killed) in TEMPLATES:
            # the next agent goes on building, which must not meet the next fault
            agent.faults = {}
            async with agent.running() as (_, client):
                await assert_settled(client, killed, sandboxes)
            killed = ""
        agent.faults = {point: "kill"}
        async with agent.running() as (process, client):
            await assert_settled(client, killed, sandboxes)
            if killed and command_of(killed) == "auto_pause":
                await client.set_timeout(sandboxes[killed], 0)  # it must not meet the next one's fault
            with contextlib.suppress(grpc.aio.AioRpcError):
                if command_of(point) == "auto_pause":
                    await client.set_timeout(sandbox_id, 1)
                else:
                    await give(client, command_of(point), sandbox_id)
            await eventually(lambda process=process: process.poll() is not None)
            assert process.returncode == -9
        killed = point
        assert f"point={point}" in agent.log.read_text() or f'"{point}"' in agent.log.read_text()
    agent.faults = {}
    async with agent.running() as (process, client):
        await assert_settled(client, killed, sandboxes)
        await use_and_delete(client, sandboxes)
        await eventually(lambda: not list((agent.folder / "simulated").iterdir()))
    process.wait(DEADLINE_SECONDS)


async def use_and_delete(client: Client, sandboxes: dict[str, str]) -> None:
    """What was struck works as if nothing had been, and can be deleted."""
    inventory = await client.inventory()
    for point, sandbox_id in sandboxes.items():
        if command_of(point) not in {"create", "destroy"}:
            await client.set_timeout(sandbox_id, 0)
            await can_be_used(client, sandbox_id)
        elif sandbox_id in inventory and state_of(inventory[sandbox_id]) == "running":
            assert command_of(point) == "create" or await client.read(sandbox_id, "/root/file") == b"kept"
    await asyncio.gather(*(client.destroy(sandbox_id, 100) for sandbox_id in sandboxes.values()))
    for sandbox_id in sandboxes.values():
        await client.delete_template(template_of(sandbox_id))
        await client.destroy(child_of(sandbox_id), 100)


async def assert_settled(client: Client, point: str, sandboxes: dict[str, str]) -> None:
    """As soon as the agent answers, what its predecessor had begun is finished or rolled back; nothing else changed."""
    if not point:
        return
    inventory = await client.inventory()
    machine = inventory.get(sandboxes[point])
    state = "unknown" if machine is None else state_of(machine)
    assert state in expected(point), (point, state)
    if command_of(point) in TEMPLATES:
        is_kept = point.rpartition(".")[2] in {"sync", "conclude", "done", "build", "remove"}
        is_kept = is_kept or point == "agent.build_template.begin"
        how = await template_ends(client, sandboxes[point])
        if command_of(point) == "delete_template":
            assert how in {"deleted", "ready"}
        elif how != "none":
            assert how == ("ready" if is_kept else "failed"), point
    if machine is not None and state == "paused" and command_of(point) == "auto_pause":
        assert cause_of(machine) == "idle_timeout"

"""An agent with real machines that is killed."""

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest

from proto.host.v1 import host_pb2 as pb
from tests import memory_images as images
from tests.agent.serving import Client, cause_of, new_sandbox, state_of
from tests.agent.test_restart import AgentProcess
from tests.waiting import eventually

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

FILES = "head -c 3000000 /dev/urandom > /root/disk; head -c 3000000 /dev/urandom > /dev/shm/memory"
SUMS = "sha256sum /root/disk /dev/shm/memory"


@pytest.fixture
def agent(cache_dir: Path, memory_images: Path) -> Iterator[AgentProcess]:
    # Not below pytest's folders, which are closed to the users that machines run as.
    folder = Path(tempfile.mkdtemp(prefix="nestbox-test-", dir="/var/tmp"))
    folder.chmod(0o711)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    images.take(memory_images, folder / "agent" / images.FOLDER)
    yield AgentProcess(
        folder / "agent",
        port,
        environment={
            "NESTBOX_AGENT_DRIVER": "qemu",
            # machines of sandboxes are counted here, and told by where their process began
            "NESTBOX_AGENT_POOL_MAX": "0",
            "NESTBOX_CACHE_DIR": str(cache_dir),
            "PATH": os.environ["PATH"],
        },
    )
    shutil.rmtree(folder)


def qemus(agent: AgentProcess) -> list[int]:
    """Processes of this agent's machines."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes()
            if str(agent.folder / "machines").encode() in words and "qemu-system" in (entry / "exe").readlink().name:
                found.append(int(entry.name))
    return sorted(found)


async def output(client: Client, sandbox_id: str, line: str) -> bytes:
    ran = await client.run(sandbox_id, "sh", "-c", line)
    assert ran.exited.exit_code == 0, ran.stderr
    return ran.stdout


async def test_five_that_run_are_carried_on_with_after_the_agent_was_killed(agent: AgentProcess) -> None:
    sandboxes = [new_sandbox() for _ in range(5)]
    sums = {}
    async with agent.running() as (process, client):
        for sandbox_id in sandboxes:
            await client.create(sandbox_id, timeout_sec=3600)
            await output(client, sandbox_id, FILES)
            sums[sandbox_id] = await output(client, sandbox_id, SUMS)
        before, pids = await client.inventory(), qemus(agent)
        process.kill()
        process.wait()
    assert qemus(agent) == pids
    assert len(pids) == 5
    async with agent.running() as (process, client):
        after = await client.inventory()
        for sandbox_id in sandboxes:
            assert state_of(after[sandbox_id]) == "running"
            assert after[sandbox_id].incarnation == before[sandbox_id].incarnation
            assert await output(client, sandbox_id, SUMS) == sums[sandbox_id]
        assert qemus(agent) == pids
        os.kill(pids[0], 9)

        async def one_is_stopped() -> bool:
            return "killed" in {cause_of(m) for m in (await client.inventory()).values() if state_of(m) == "stopped"}

        await eventually(one_is_stopped, 1)
        await asyncio.gather(*(client.destroy(sandbox_id, 9) for sandbox_id in sandboxes))
    assert not qemus(agent)
    assert not list((agent.folder / "machines").iterdir())


async def test_a_damaged_ledger_ends_no_machine_and_removes_no_file(agent: AgentProcess) -> None:
    sandbox_id = new_sandbox()
    async with agent.running() as (process, client):
        await client.create(sandbox_id)
        [pid] = qemus(agent)
        process.kill()
        process.wait()
    for path in agent.folder.glob("ledger.db*"):
        path.write_bytes(b"this is no database, " * 1000)
    async with agent.running() as (process, client):
        assert qemus(agent) == [pid]
        assert (agent.folder / "machines" / sandbox_id.removeprefix("sb-") / "overlay.qcow2").exists()
        # what nobody knows is not started a second time beside itself
        with contextlib.suppress(grpc.aio.AioRpcError):
            await client.start(sandbox_id, 2)
        with contextlib.suppress(grpc.aio.AioRpcError):
            await client.resume(sandbox_id, 3)
        assert qemus(agent) == [pid]
        other = new_sandbox()
        await client.create(other)
        assert await output(client, other, "echo whole") == b"whole\n"
        await client.destroy(other, 2)
        # it is said, and a delete by its id ends it wholly
        host = await client.stub.GetHost(pb.GetHostRequest(), metadata=client.metadata)
        assert any("its ledger does not know" in line for line in host.shortcomings)
        await client.destroy(sandbox_id, 4)
        assert not qemus(agent)
        assert not list((agent.folder / "machines").iterdir())


# In such an order that what proves the one does not meet the fault of the next.
AFTER_A_KILL = {
    "agent.destroy.kill": {"deleted"},
    "agent.create.spawn": {"failed"},
    "agent.create.guest": {"failed"},
    "agent.pause.stop": {"running"},
    "agent.pause.save": {"running"},
    "agent.pause.sync": {"paused"},
    "agent.pause.release": {"paused"},
    "agent.start.spawn": {"stopped"},
    "agent.resume.spawn": {"paused"},
    "agent.start.guest": {"stopped"},
    "agent.resume.guest": {"running"},
}


@pytest.mark.slow
async def test_a_kill_in_the_middle_of_a_step_loses_no_machine(agent: AgentProcess) -> None:
    killed, sandbox_id = "", ""
    for point, states in [*AFTER_A_KILL.items(), ("", set[str]())]:
        agent.faults = {point: "kill"} if point else {}
        async with agent.running() as (process, client):
            if killed:
                machine = (await client.inventory())[sandbox_id]
                assert state_of(machine) in AFTER_A_KILL[killed], killed
                await _is_whole(client, sandbox_id, killed)
            if not point:
                break
            sandbox_id = new_sandbox()
            with contextlib.suppress(grpc.aio.AioRpcError):
                await _bring_to(client, agent, point.split(".")[1], sandbox_id)
            await eventually(lambda process=process: process.poll() is not None)
            assert process.returncode == -9
        killed = point
        assert states
    assert not qemus(agent)
    assert not list((agent.folder / "machines").iterdir())


async def _bring_to(client: Client, agent: AgentProcess, command: str, sandbox_id: str) -> None:
    """Gives the command, in whose middle the agent is killed."""
    await client.create(sandbox_id)
    await client.write(sandbox_id, "/root/file", b"kept")
    await client.run(sandbox_id, "sync")
    match command:
        case "pause":
            await client.pause(sandbox_id, 2)
        case "resume":
            await client.pause(sandbox_id, 2)
            await client.resume(sandbox_id, 3)
        case "start":
            [pid] = qemus(agent)
            os.kill(pid, 9)

            async def stopped() -> bool:
                return await client.state(sandbox_id) == "stopped"

            await eventually(stopped)
            await client.start(sandbox_id, 3)
        case "destroy":
            await client.destroy(sandbox_id, 3)


async def _is_whole(client: Client, sandbox_id: str, point: str) -> None:
    match await client.state(sandbox_id):
        case "paused":
            await client.resume(sandbox_id, 10)
        case "stopped":
            await client.start(sandbox_id, 10)
    if point.split(".")[1] not in {"create", "destroy"}:
        assert await client.read(sandbox_id, "/root/file") == b"kept"
    await client.destroy(sandbox_id, 11)

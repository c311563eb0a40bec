"""An agent that is killed, and the next one on the same data directory: `python -m agent` as a process."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.__main__ import EXIT_IN_USE
from agent.drivers.simulated import Hang, SimulatedDriver
from agent.errors import Code
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import Client, cause_of, connected, creation, new_sandbox, refused, serving, state_of, uuid_of
from tests.waiting import DEADLINE_SECONDS, eventually


@dataclass
class AgentProcess:
    """`python -m agent` with the simulated driver."""

    folder: Path
    port: int
    latency_ms: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, address: str = "") -> subprocess.Popen[bytes]:
        environment = {
            "NESTBOX_AGENT_DATA_DIR": str(self.folder),
            "NESTBOX_AGENT_DRIVER": "simulated",
            "NESTBOX_AGENT_ADDRESS": address or f"127.0.0.1:{self.port}",
            "NESTBOX_AGENT_SIMULATED_LATENCY_MS": str(self.latency_ms),
            "NESTBOX_AGENT_FAULTS": json.dumps(self.faults),
            **self.environment,
        }
        with self.log.open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "agent"], env=environment, stderr=log)

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[subprocess.Popen[bytes], Client]]:
        process = self.start()
        try:
            token = self.folder / "token"
            await eventually(token.exists)
            await eventually(lambda: token.read_text() != "")
            async with connected(self.port, token.read_text().strip()) as client:
                yield process, client
        finally:
            process.kill()
            process.wait(DEADLINE_SECONDS)


@pytest.fixture
def agent(tmp_path: Path) -> AgentProcess:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return AgentProcess(tmp_path / "agent", port)


async def test_after_a_kill_everything_is_as_it_was(agent: AgentProcess) -> None:
    running, paused, stopped, deleted = (new_sandbox() for _ in range(4))
    async with agent.running() as (process, client):
        for sandbox_id in (running, paused, stopped, deleted):
            await client.create(sandbox_id)
        await client.write(running, "/root/file", b"kept")
        await client.pause(paused, 2)
        await client.destroy(deleted, 2)
        before = await client.inventory()
        process.kill()
        process.wait()
    (agent.folder / "simulated" / str(uuid_of(stopped)) / "state.json").unlink()
    async with agent.running() as (_, client):
        after = await client.inventory()
        states = {sandbox_id: state_of(machine) for sandbox_id, machine in after.items()}
        assert states == {running: "running", paused: "paused", stopped: "stopped", deleted: "deleted"}
        assert cause_of(after[stopped]) == "crashed"
        assert after[stopped].sequence > max(machine.sequence for machine in before.values())
        for sandbox_id in (running, paused, deleted):
            before[sandbox_id].ClearField("last_active_at")
            after[sandbox_id].ClearField("last_active_at")
            assert after[sandbox_id] == before[sandbox_id]
        assert await client.read(running, "/root/file") == b"kept"
        with refused(Code.STALE_GENERATION):
            await client.create(deleted, 1)
        assert state_of(await client.resume(paused, 3)) == "running"


async def test_a_kill_in_the_middle_of_every_command_leaves_nothing_half_done(agent: AgentProcess) -> None:
    agent.latency_ms = 300
    starting, pausing, resuming, deleting = (new_sandbox() for _ in range(4))
    async with agent.running() as (_, client), asyncio.TaskGroup() as group:
        for sandbox_id in (pausing, resuming, deleting):
            group.create_task(client.create(sandbox_id))
    async with agent.running() as (_, client):
        await client.pause(resuming, 2)
    async with agent.running() as (process, client):
        stub, metadata = client.stub, client.metadata
        calls: list[Awaitable[pb.Machine]] = [
            stub.CreateMachine(creation(starting), metadata=metadata),
            stub.PauseMachine(pb.PauseMachineRequest(sandbox_id=pausing, generation=2), metadata=metadata),
            stub.ResumeMachine(pb.ResumeMachineRequest(sandbox_id=resuming, generation=3), metadata=metadata),
            stub.DestroyMachine(pb.DestroyMachineRequest(sandbox_id=deleting, generation=2), metadata=metadata),
        ]
        states: set[str] = set()
        while states != {"starting", "pausing", "resuming", "deleting"}:
            states = {state_of(machine) for machine in (await client.inventory()).values()}
        process.kill()
        process.wait()
        await asyncio.gather(*calls, return_exceptions=True)
    agent.latency_ms = 0
    async with agent.running() as (_, client):
        inventory = await client.inventory()
        states_after = [state_of(inventory[sandbox_id]) for sandbox_id in (starting, pausing, resuming, deleting)]
        assert states_after == ["failed", "running", "paused", "deleted"]
        with refused(Code.START_FAILED):
            await client.create(starting)
        with refused(Code.PAUSE_FAILED):
            await client.pause(pausing, 2)
        with refused(Code.START_FAILED):
            await client.resume(resuming, 3)
        assert state_of(await client.destroy(deleting, 2)) == "deleted"
        assert state_of(await client.pause(pausing, 3)) == "paused"
        assert state_of(await client.resume(resuming, 4)) == "running"
        for sandbox_id, generation in ((starting, 2), (pausing, 4), (resuming, 5)):
            await client.destroy(sandbox_id, generation)
    assert list((agent.folder / "simulated").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_agent_and_leaves_its_machines(agent: AgentProcess, number: signal.Signals) -> None:
    sandbox_id = new_sandbox()
    async with agent.running() as (process, client):
        await client.create(sandbox_id)
        process.send_signal(number)
        await eventually(lambda: process.poll() is not None)
        assert process.returncode == 0
    async with agent.running() as (_, client):
        assert await client.state(sandbox_id) == "running"


async def test_two_agents_cannot_have_one_data_directory(agent: AgentProcess) -> None:
    async with agent.running():
        second = agent.start("127.0.0.1:0")
        await eventually(lambda: second.poll() is not None)
    assert second.returncode == EXIT_IN_USE
    assert "Another agent uses the data directory" in agent.log.read_text()


async def test_a_pause_that_was_complete_counts_though_nobody_noted_it(tmp_path: Path) -> None:
    sandbox_id = new_sandbox()
    async with _killed_in(tmp_path, sandbox_id, "pausing") as driver:
        driver._set_state(uuid_of(sandbox_id), "paused")
    async with serving(tmp_path) as agent:
        assert await agent.state(sandbox_id) == "paused"
        assert state_of(await agent.pause(sandbox_id, 2)) == "paused"
        assert state_of(await agent.resume(sandbox_id, 3)) == "running"


async def test_a_machine_that_was_lost_in_a_pause_is_stopped(tmp_path: Path) -> None:
    sandbox_id = new_sandbox()
    async with _killed_in(tmp_path, sandbox_id, "pausing") as driver:
        driver._set_state(uuid_of(sandbox_id), "stopped")
    async with serving(tmp_path) as agent:
        assert await agent.state(sandbox_id) == "stopped"
        with refused(Code.MACHINE_GONE):
            await agent.pause(sandbox_id, 2)


async def test_machines_are_lost_with_their_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox_id = new_sandbox()
    async with serving(tmp_path) as agent:
        await agent.create(sandbox_id)
        agent.driver._set_state(uuid_of(sandbox_id), "stopped")
    monkeypatch.setattr("agent.host.boot_id", lambda: "another start of the computer")
    async with serving(tmp_path) as agent:
        machine = (await agent.inventory())[sandbox_id]
        assert (state_of(machine), cause_of(machine)) == ("stopped", "host_lost")


@asynccontextmanager
async def _killed_in(folder: Path, sandbox_id: str, state: str) -> AsyncIterator[SimulatedDriver]:
    """An agent that ended in the middle of a pause. What is inside happens after its end."""
    hang = Hang()
    async with serving(folder) as agent:
        await agent.create(sandbox_id)
        agent.driver.faults.inject("pause.save", hang)
        request = pb.PauseMachineRequest(sandbox_id=sandbox_id, generation=2)
        call = agent.stub.PauseMachine(request, metadata=agent.metadata)
        await hang.reached.wait()
        assert await agent.state(sandbox_id) == state
        record = await agent.host._parts.ledger.find(uuid_of(sandbox_id))
        hang.released.set()
        await call
        assert record is not None
        await agent.host._parts.ledger.write(record, durable=True)
    yield agent.driver

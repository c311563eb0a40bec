"""A host with the simulated driver, served on loopback, and a real client of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import grpc
import grpc.aio
import pytest

from agent.drivers.simulated import Faults, Hang, SimulatedDriver
from agent.errors import STATUS, Code
from agent.faults import NO_FAULTS
from agent.faults import Faults as AgentFaults
from agent.host import Host, open_host
from agent.server import serve
from proto.host.v1 import host_pb2 as pb
from proto.host.v1.host_pb2_grpc import HostAgentStub
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from proto.host.v1.host_pb2_grpc import HostAgentAsyncStub  # only in the stubs' types

TOKEN = "a-token-for-tests-only"
Item = TypeVar("Item")


def new_sandbox() -> str:
    return f"sb-{uuid4()}"


def new_template() -> str:
    return f"tpl-{uuid4()}"


def uuid_of(wire_id: str) -> UUID:
    return UUID(wire_id.partition("-")[2])


class Clock:
    """Both clocks of an agent. Each goes on by itself, and can be set."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.time_of_day_ahead = timedelta()

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead) + self.time_of_day_ahead


@dataclass(frozen=True)
class Client:
    """Calls as the control plane makes them."""

    stub: "HostAgentAsyncStub"
    metadata: tuple[tuple[str, str], ...]

    async def create(self, sandbox_id: str, generation: int = 1, **changes: object) -> pb.Machine:
        return await self.stub.CreateMachine(creation(sandbox_id, generation, **changes), metadata=self.metadata)

    async def pause(self, sandbox_id: str, generation: int) -> pb.Machine:
        request = pb.PauseMachineRequest(sandbox_id=sandbox_id, generation=generation)
        return await self.stub.PauseMachine(request, metadata=self.metadata)

    async def resume(self, sandbox_id: str, generation: int, timeout_sec: int = 0) -> pb.Machine:
        request = pb.ResumeMachineRequest(sandbox_id=sandbox_id, generation=generation, timeout_sec=timeout_sec)
        return await self.stub.ResumeMachine(request, metadata=self.metadata)

    async def start(self, sandbox_id: str, generation: int, timeout_sec: int = 0) -> pb.Machine:
        request = pb.StartMachineRequest(sandbox_id=sandbox_id, generation=generation, timeout_sec=timeout_sec)
        return await self.stub.StartMachine(request, metadata=self.metadata)

    async def snapshot(self, sandbox_id: str, generation: int, template_id: str, name: str = "mine") -> pb.Machine:
        request = pb.SnapshotMachineRequest(
            sandbox_id=sandbox_id, generation=generation, template_id=template_id, template_name=name
        )
        return await self.stub.SnapshotMachine(request, metadata=self.metadata)

    async def fork(self, sandbox_id: str, generation: int, snapshot_id: str, *children: str) -> pb.Machine:
        request = pb.ForkMachineRequest(
            sandbox_id=sandbox_id, generation=generation, snapshot_id=snapshot_id, children=children
        )
        return await self.stub.ForkMachine(request, metadata=self.metadata)

    async def delete_template(self, template_id: str) -> pb.Template:
        return await self.stub.DeleteTemplate(pb.DeleteTemplateRequest(template_id=template_id), metadata=self.metadata)

    async def templates(self) -> dict[str, pb.Template]:
        answer = await self.stub.ListMachines(pb.ListMachinesRequest(), metadata=self.metadata)
        return {template.template_id: template for template in answer.templates}

    async def collect_garbage(self, *, dry_run: bool = False) -> list[pb.Garbage]:
        request = pb.CollectGarbageRequest(dry_run=dry_run)
        return list((await self.stub.CollectGarbage(request, metadata=self.metadata)).garbage)

    async def set_timeout(self, sandbox_id: str, timeout_sec: int, generation: int = 0) -> pb.Machine:
        request = pb.SetTimeoutRequest(sandbox_id=sandbox_id, generation=generation, timeout_sec=timeout_sec)
        return await self.stub.SetTimeout(request, metadata=self.metadata)

    async def destroy(self, sandbox_id: str, generation: int) -> pb.Machine:
        request = pb.DestroyMachineRequest(sandbox_id=sandbox_id, generation=generation)
        return await self.stub.DestroyMachine(request, metadata=self.metadata)

    async def ping(self, sandbox_id: str) -> pb.Machine:
        return await self.stub.PingMachine(pb.PingMachineRequest(sandbox_id=sandbox_id), metadata=self.metadata)

    async def pause_all(self) -> list[pb.Machine]:
        answer = await self.stub.PauseAll(pb.PauseAllRequest(cause=pb.CAUSE_SHUTDOWN), metadata=self.metadata)
        return list(answer.machines)

    async def inventory(self) -> dict[str, pb.Machine]:
        answer = await self.stub.ListMachines(pb.ListMachinesRequest(), metadata=self.metadata)
        return {machine.sandbox_id: machine for machine in answer.machines}

    async def state(self, sandbox_id: str) -> str:
        return state_of((await self.inventory())[sandbox_id])

    async def run(self, sandbox_id: str, *argv: str, stdin: bytes = b"", **start: object) -> "Ran":
        requests = [pb.ExecRequest(start=pb.ExecStart(sandbox_id=sandbox_id, argv=argv, **start))]  # type: ignore[arg-type]
        if stdin:
            requests.append(pb.ExecRequest(stdin=stdin))
        requests.append(pb.ExecRequest(stdin_eof=True))
        ran = Ran()
        async for response in self.stub.Exec(iter_of(requests), metadata=self.metadata):
            ran.take(response)
        return ran

    async def write(self, sandbox_id: str, path: str, *chunks: bytes, mode: int = 0) -> int:
        start = pb.WriteFileStart(sandbox_id=sandbox_id, path=path, mode=mode)
        requests = [pb.WriteFileRequest(start=start), *(pb.WriteFileRequest(content=chunk) for chunk in chunks)]
        requests.append(pb.WriteFileRequest(complete=True))
        return (await self.stub.WriteFile(iter_of(requests), metadata=self.metadata)).size_bytes

    async def read(self, sandbox_id: str, path: str, offset_bytes: int = 0, limit_bytes: int = 0) -> bytes:
        request = pb.ReadFileRequest(
            sandbox_id=sandbox_id, path=path, offset_bytes=offset_bytes, limit_bytes=limit_bytes
        )
        responses = [response async for response in self.stub.ReadFile(request, metadata=self.metadata)]
        assert responses[0].WhichOneof("response") == "info"
        return b"".join(response.content for response in responses[1:])


class Ran:
    """What a command did."""

    def __init__(self) -> None:
        self.pid = 0
        self.stdout = self.stderr = b""
        self.exited = pb.ExecExited()

    def take(self, response: pb.ExecResponse) -> None:
        match response.WhichOneof("response"):
            case "started":
                self.pid = response.started.pid
            case "stdout":
                self.stdout += response.stdout
            case "stderr":
                self.stderr += response.stderr
            case "exited":
                self.exited = response.exited


@dataclass(frozen=True)
class Served(Client):
    """A client, and what stands behind its server."""

    driver: SimulatedDriver
    host: Host
    port: int


def creation(sandbox_id: str, generation: int = 1, **changes: object) -> pb.CreateMachineRequest:
    request = pb.CreateMachineRequest(
        sandbox_id=sandbox_id,
        generation=generation,
        template_id="tpl-00000000-0000-7000-8000-000000000001",
        template_name="base",
        vcpus=1,
        memory_mb=512,
        disk_size_mb=5120,
    )
    request.MergeFrom(pb.CreateMachineRequest(**changes))  # type: ignore[arg-type]
    return request


@asynccontextmanager
async def connected(port: int, token: str = TOKEN) -> AsyncIterator[Client]:
    # gRPC would hand out a connection to an agent that was killed just now
    options = (
        ("grpc.use_local_subchannel_pool", 1),
        # an agent that is being started refuses the first attempts: the next one is made soon, not after a second
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 100),
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        await asyncio.wait_for(channel.channel_ready(), DEADLINE_SECONDS)
        yield Client(HostAgentStub(channel), (("authorization", f"Bearer {token}"),))


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    faults: Faults | None = None,
    available_mb: Callable[[], int] | None = None,
    clock: Clock | None = None,
    armed: AgentFaults = NO_FAULTS,
) -> AsyncIterator[Served]:
    """A new agent on this data directory; at the end it stops as after SIGTERM."""
    clock = clock or Clock()
    folder.mkdir(exist_ok=True)
    driver = SimulatedDriver(folder / "simulated", faults)
    async with (
        open_host(folder, driver, available_mb, now=clock.now, monotonic=clock.monotonic, faults=armed) as host,
        serve(host, address="127.0.0.1:0", token=TOKEN, name="test", version="0") as port,
        connected(port) as client,
    ):
        yield Served(client.stub, client.metadata, driver, host, port)


async def running(agent: Client, **changes: Any) -> str:
    """A new sandbox with a file."""
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, **changes)
    await agent.write(sandbox_id, "/root/file", b"kept")
    return sandbox_id


@asynccontextmanager
async def hanging(agent: Served, point: str) -> AsyncIterator[Hang]:
    """A fault that must be met inside; it is let go at the end."""
    hang = Hang()
    agent.driver.faults.inject(point, hang)
    yield hang
    hang.released.set()
    assert hang.reached.is_set()


async def iter_of(items: Iterable[Item]) -> AsyncIterator[Item]:
    for item in items:
        yield item


def state_of(machine: pb.Machine) -> str:
    return pb.MachineState.Name(machine.state).removeprefix("MACHINE_STATE_").lower()


def cause_of(machine: pb.Machine) -> str:
    return pb.Cause.Name(machine.cause).removeprefix("CAUSE_").lower()


def code_of(error: grpc.aio.AioRpcError) -> Code:
    """The stable code in its trailing metadata."""
    codes = [value for key, value in error.trailing_metadata() if key == "nestbox-code"]
    assert len(codes) == 1, error
    return Code(str(codes[0]))


@contextmanager
def refused(code: Code, sentence: str = "") -> Iterator[None]:
    """What happens inside must be answered with this code, the status that goes with it, and a sentence."""
    with pytest.raises(grpc.aio.AioRpcError, match=sentence or None) as refusal:
        yield
    assert code_of(refusal.value) is code, refusal.value
    assert refusal.value.code() is STATUS[code]
    assert refusal.value.details()

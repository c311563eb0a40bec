"""The client of one host agent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import grpc

from api.domain.command import Execution
from api.domain.file import FileInfo
from api.domain.host import HostFacts
from api.domain.machine import HeldTemplate, Inventory, Machine
from api.domain.sandbox import Cause, Sandbox
from api.errors import Internal
from api.hosts.access import Access
from api.hosts.convert import (
    create_request,
    exec_start,
    facts_of,
    file_info_of,
    inventory_of,
    machine_of,
    template_of,
)
from api.hosts.ending import Ending
from api.hosts.errors import OutcomeUnknown, host_call_error
from api.ids import Kind, wire_id
from proto.host.v1 import host_pb2 as pb
from proto.host.v1.host_pb2_grpc import HostAgentStub

QUERY_SECONDS = 5.0
"""For questions: what the host is, what it has. A host that needs longer counts as silent."""
START_SECONDS = 110.0
"""For create and resume, a template's first boot under emulation included."""
PAUSE_SECONDS = 280.0
"""For a pause: writing tens of GiB of memory to a disk."""
SNAPSHOT_SECONDS = 280.0
"""For a template or a fork: what runs stands still for a moment only, but what is paused may have to be copied."""
DESTROY_SECONDS = 60.0
PING_SECONDS = 10.0
EXEC_MARGIN_SECONDS = 15.0
"""Beyond a command's own timeout, for the host to say that it is over."""
FILE_SECONDS = 3600.0
CHUNK_BYTES = 32 * 1024
"""Of input and files, as hosts cut them too."""
MESSAGE_BYTES_MAX = 32 * 1024 * 1024
"""An inventory of some ten thousand machines."""

KEEPALIVE_MS = 5_000
KEEPALIVE_TIMEOUT_MS = 5_000
"""A connection whose other end is gone without a word is given up after 10 s and made anew. Without this it would be
kept until the kernel gives up, a quarter of an hour later, and the host be unreachable all that time."""

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # the core counts keep-alives with other pings, and has a time-out of a minute of its own for them
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # an agent that restarts is found again within a second
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Started:
    """A command has begun to run."""


@dataclass(frozen=True, slots=True)
class Output:
    """Some of what a command printed; `stream` is 1 for stdout and 2 for stderr."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Exited:
    """A command has ended; `signal` 0 if by itself."""

    exit_code: int
    signal: int
    timed_out: bool
    duration_us: int


class HostClient:
    """One agent at one address. Calls raise `Refused` or `OutcomeUnknown` (`api.hosts.errors`), never gRPC's errors.

    Cancelling a call does not undo a command: the agent carries it out all the same. `host_id` is that of the host that
    the other end proves to be, None where it proves no more than that it knows the token.
    """

    def __init__(self, address: str, access: Access) -> None:
        self.address = address
        self._former: grpc.aio.Channel | None = None
        self._connect(access)

    def _connect(self, access: Access) -> None:
        self._channel = access.channel(self.address, _OPTIONS)
        self._stub = HostAgentStub(self._channel)
        self._metadata = access.metadata
        self.host_id = access.host_id

    async def renew(self, access: Access) -> None:
        """Makes new calls with other credentials. Calls that are under way go on, until the next time."""
        former, self._former = self._former, self._channel
        self._connect(access)
        if former is not None:
            await former.close(None)

    async def close(self) -> None:
        """Ends every call."""
        for channel in (self._channel, self._former):
            if channel is not None:
                await channel.close(None)

    async def request_certificate(self) -> bytes:
        """The host's request for a new certificate, PEM."""
        answer = await self._call(self._stub.RequestCertificate, pb.RequestCertificateRequest(), QUERY_SECONDS)
        return bytes(answer.request)

    async def install_certificate(self, certificate: bytes) -> None:
        """Has the host use a certificate that was signed for its last request."""
        request = pb.InstallCertificateRequest(certificate=certificate)
        await self._call(self._stub.InstallCertificate, request, QUERY_SECONDS)

    async def get_host(self) -> HostFacts:
        """What the host is and can do, in its own words, its id too."""
        return facts_of(await self._call(self._stub.GetHost, pb.GetHostRequest(), QUERY_SECONDS))

    async def list_machines(self) -> Inventory:
        """The whole inventory."""
        return inventory_of(await self._call(self._stub.ListMachines, pb.ListMachinesRequest(), QUERY_SECONDS))

    async def watch_machines(self) -> AsyncGenerator[Inventory | Machine | HeldTemplate, None]:
        """The whole inventory, then every change, until the connection is lost: then it raises."""
        call = self._stub.WatchMachines(pb.WatchMachinesRequest(), metadata=self._metadata)
        try:
            async for message in call:
                match message.WhichOneof("event"):
                    case "inventory":
                        yield inventory_of(message.inventory)
                    case "changed":
                        yield machine_of(message.changed)
                    case "template_changed":
                        yield template_of(message.template_changed)
                    case _:
                        # a newer agent tells of something that this version does not know
                        pass
        except grpc.aio.AioRpcError as error:
            raise host_call_error(error) from error
        finally:
            call.cancel()

    async def create(self, sandbox: Sandbox, generation: int, environment: dict[str, str], cluster_id: UUID) -> Machine:
        """Starts a machine; returns when it runs. The same generation again is answered, not done again."""
        request = create_request(sandbox, generation, environment, cluster_id)
        return machine_of(await self._call(self._stub.CreateMachine, request, START_SECONDS))

    async def snapshot(self, sandbox_id: UUID, generation: int, *, template_id: UUID, template_name: str) -> Machine:
        """Begins a template of a sandbox; returns when that is again as it was. The template's end is reported."""
        request = pb.SnapshotMachineRequest(
            sandbox_id=wire_id(Kind.SANDBOX, sandbox_id),
            generation=generation,
            template_id=wire_id(Kind.TEMPLATE, template_id),
            template_name=template_name,
        )
        return machine_of(await self._call(self._stub.SnapshotMachine, request, SNAPSHOT_SECONDS))

    async def fork(
        self, sandbox_id: UUID, generation: int, *, snapshot_id: UUID, children: Collection[UUID]
    ) -> Machine:
        """Keeps what a sandbox is now for these children, which are created next; returns when it runs on."""
        request = pb.ForkMachineRequest(
            sandbox_id=wire_id(Kind.SANDBOX, sandbox_id),
            generation=generation,
            snapshot_id=str(snapshot_id),
            children=[wire_id(Kind.SANDBOX, child) for child in children],
        )
        return machine_of(await self._call(self._stub.ForkMachine, request, SNAPSHOT_SECONDS))

    async def delete_template(self, template_id: UUID) -> HeldTemplate:
        """Removes a template's files, which the host need not have. May be repeated."""
        request = pb.DeleteTemplateRequest(template_id=wire_id(Kind.TEMPLATE, template_id))
        return template_of(await self._call(self._stub.DeleteTemplate, request, DESTROY_SECONDS))

    async def pause(self, sandbox_id: UUID, generation: int) -> Machine:
        """Saves a machine and lets it go."""
        request = pb.PauseMachineRequest(sandbox_id=wire_id(Kind.SANDBOX, sandbox_id), generation=generation)
        return machine_of(await self._call(self._stub.PauseMachine, request, PAUSE_SECONDS))

    async def resume(self, sandbox_id: UUID, generation: int, timeout_sec: int, cause: Cause = Cause.USER) -> Machine:
        """Starts a machine from what was saved; `cause` says whether it was asked for or is just used."""
        request = pb.ResumeMachineRequest(
            sandbox_id=wire_id(Kind.SANDBOX, sandbox_id),
            generation=generation,
            timeout_sec=timeout_sec,
            cause=pb.CAUSE_AUTO_RESUME if cause is Cause.AUTO_RESUME else pb.CAUSE_USER,
        )
        return machine_of(await self._call(self._stub.ResumeMachine, request, START_SECONDS))

    async def start(self, sandbox_id: UUID, generation: int, timeout_sec: int) -> Machine:
        """Boots a stopped sandbox from its kept disk."""
        request = pb.StartMachineRequest(
            sandbox_id=wire_id(Kind.SANDBOX, sandbox_id), generation=generation, timeout_sec=timeout_sec
        )
        return machine_of(await self._call(self._stub.StartMachine, request, START_SECONDS))

    async def set_timeout(self, sandbox_id: UUID, generation: int, timeout_sec: int) -> Machine:
        """Sets the idle timeout, and counts as activity. An idle pause at the same time is undone, if the host can."""
        request = pb.SetTimeoutRequest(
            sandbox_id=wire_id(Kind.SANDBOX, sandbox_id), generation=generation, timeout_sec=timeout_sec
        )
        # it may have to wait for a pause and a resume
        return machine_of(await self._call(self._stub.SetTimeout, request, START_SECONDS))

    async def destroy(self, sandbox_id: UUID, generation: int) -> Machine:
        """Removes everything of a sandbox, which the host need not have."""
        request = pb.DestroyMachineRequest(sandbox_id=wire_id(Kind.SANDBOX, sandbox_id), generation=generation)
        return machine_of(await self._call(self._stub.DestroyMachine, request, DESTROY_SECONDS))

    async def ping(self, sandbox_id: UUID) -> Machine:
        """Counts as activity."""
        request = pb.PingMachineRequest(sandbox_id=wire_id(Kind.SANDBOX, sandbox_id))
        return machine_of(await self._call(self._stub.PingMachine, request, PING_SECONDS))

    async def exec(self, sandbox_id: UUID, execution: Execution) -> AsyncGenerator[Started | Output | Exited, None]:
        """Runs a command: that it has begun, its output as it comes, then its end. Closing the iterator kills it."""

        async def requests() -> AsyncIterator[pb.ExecRequest]:
            yield exec_start(sandbox_id, execution)
            for start in range(0, len(execution.stdin), CHUNK_BYTES):
                yield pb.ExecRequest(stdin=execution.stdin[start : start + CHUNK_BYTES])
            yield pb.ExecRequest(stdin_eof=True)

        deadline_seconds = execution.timeout_ms / 1000 + EXEC_MARGIN_SECONDS
        call = self._stub.Exec(requests(), timeout=deadline_seconds, metadata=self._metadata)
        ending = Ending(call)
        try:
            async for message in call:
                match message.WhichOneof("response"):
                    case "started":
                        yield Started()
                    case "stdout":
                        yield Output(1, message.stdout)
                    case "stderr":
                        yield Output(2, message.stderr)
                    case "exited":
                        ended = message.exited
                        yield Exited(ended.exit_code, ended.signal, ended.timed_out, ended.duration_us)
                        return
                    case _:
                        pass
        except grpc.aio.AioRpcError as error:
            raise host_call_error(await ending.error(error)) from error
        finally:
            call.cancel()
        raise OutcomeUnknown(Internal("The host ended a command without saying how.", detail=self.address))

    async def write_file(self, sandbox_id: UUID, path: str, mode: int, content: AsyncIterator[bytes]) -> int:
        """Writes a file; its size. If `content` raises, that is raised, and the guest keeps nothing of the file."""
        call = self._stub.WriteFile(timeout=FILE_SECONDS, metadata=self._metadata)
        ending = Ending(call)
        start = pb.WriteFileStart(sandbox_id=wire_id(Kind.SANDBOX, sandbox_id), path=path, mode=mode)

        async def send(request: pb.WriteFileRequest) -> None:
            try:
                await call.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
                # the host refuses without waiting for the rest
                raise host_call_error(await ending.error(error)) from error

        complete = False
        try:
            await send(pb.WriteFileRequest(start=start))
            async for chunk in content:
                for position in range(0, len(chunk), CHUNK_BYTES):
                    await send(pb.WriteFileRequest(content=chunk[position : position + CHUNK_BYTES]))
            await send(pb.WriteFileRequest(complete=True))
            await call.done_writing()
            response = await call
            complete = True
            return int(response.size_bytes)
        except grpc.aio.AioRpcError as error:
            raise host_call_error(error) from error
        finally:
            if not complete:
                call.cancel()

    async def read_file(self, sandbox_id: UUID, path: str, limit_bytes: int) -> tuple[FileInfo, AsyncIterator[bytes]]:
        """What a file is, and its content, which must be read to its end or closed."""
        request = pb.ReadFileRequest(sandbox_id=wire_id(Kind.SANDBOX, sandbox_id), path=path, limit_bytes=limit_bytes)
        call = self._stub.ReadFile(request, timeout=FILE_SECONDS, metadata=self._metadata)
        messages = self._file_messages(call)
        try:
            first = await anext(messages)
        except StopAsyncIteration:
            raise OutcomeUnknown(Internal("The host sent no file.", detail=self.address)) from None
        if first.WhichOneof("response") != "info":
            await messages.aclose()
            raise OutcomeUnknown(Internal("The host sent a file without saying what it is.", detail=self.address))

        async def content() -> AsyncIterator[bytes]:
            async with aclosing(messages):
                async for message in messages:
                    yield message.content

        return file_info_of(first.info), content()

    async def _file_messages(self, call: Any) -> Any:
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise host_call_error(error) from error
        finally:
            call.cancel()

    async def _call(self, method: Any, request: Any, deadline_seconds: float) -> Any:
        try:
            return await method(request, timeout=deadline_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise host_call_error(error) from error

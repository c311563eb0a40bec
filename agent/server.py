"""The gRPC face of the host: translates only. What is done is done by `agent/host.py`."""
# ruff: noqa: N802, D102, ARG002 - names, meanings and signatures are those of host.proto

import contextlib
from collections.abc import AsyncIterator
from typing import cast

import grpc
import grpc.aio

from agent import convert
from agent.answers import Context, answered
from agent.authentication import TokenCheck
from agent.errors import AgentError, Code
from agent.guest_calls import GuestCalls
from agent.host import Host
from agent.machine import Destroy, Pause
from agent.secure_link import SecureLink
from proto.host.v1 import host_pb2 as pb
from proto.host.v1 import host_pb2_grpc

MESSAGE_BYTES_MAX = 4 * 1024 * 1024  # room for the largest command and environment, so that those get a typed refusal
STREAMS_MAX = 2048  # calls at once on one connection: 1,000 commands that run, with their files and some to spare
KEEPALIVE_MS = 20_000  # a control plane that is gone is noticed after this and the time-out below
KEEPALIVE_TIMEOUT_MS = 10_000
PING_INTERVAL_MIN_MS = 2_000  # what clients may ask of us; the control plane asks every 5 s, and clocks are not exact
STOP_GRACE_SECONDS = 3.0  # for calls that are under way when the server stops; their commands go on

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # The inventory goes out in one message: ~0.5 KB a machine, so this is enough for 100,000 of them.
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.max_concurrent_streams", STREAMS_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
    # A second agent on the same address must fail, not take half of the calls.
    ("grpc.so_reuseport", 0),
)


class Server(GuestCalls):
    """The calls of `host.proto`; those that go into a guest are in `GuestCalls`."""

    def __init__(self, host: Host, name: str, version: str, link: SecureLink | None) -> None:
        super().__init__(host)
        self._name = name
        self._version = version
        self._link = link

    @answered
    async def GetHost(self, request: pb.GetHostRequest, context: Context) -> pb.Host:
        expires_at = None if self._link is None else self._link.expires_at
        return convert.to_host(await self._host.describe(), self._name, self._version, expires_at)

    @answered
    async def RequestCertificate(
        self, request: pb.RequestCertificateRequest, context: Context
    ) -> pb.CertificateRequest:
        return pb.CertificateRequest(request=self._secure_link().request(f"host-{self._host.host_id}"))

    @answered
    async def InstallCertificate(
        self, request: pb.InstallCertificateRequest, context: Context
    ) -> pb.InstallCertificateResponse:
        return convert.to_installed(self._secure_link().install(request.certificate))

    def _secure_link(self) -> SecureLink:
        if self._link is None:
            raise AgentError(Code.WRONG_STATE, "This agent speaks without TLS and has no certificate.")
        return self._link

    @answered
    async def CreateMachine(self, request: pb.CreateMachineRequest, context: Context) -> pb.Machine:
        action, generation = convert.create(request), convert.generation(request.generation)
        return convert.to_machine(await self._host.obey(action.spec.sandbox_id, action, generation))

    @answered
    async def PauseMachine(self, request: pb.PauseMachineRequest, context: Context) -> pb.Machine:
        sandbox_id, generation = convert.sandbox_id(request.sandbox_id), convert.generation(request.generation)
        return convert.to_machine(await self._host.obey(sandbox_id, Pause(), generation))

    @answered
    async def ResumeMachine(self, request: pb.ResumeMachineRequest, context: Context) -> pb.Machine:
        sandbox_id, generation = convert.sandbox_id(request.sandbox_id), convert.generation(request.generation)
        return convert.to_machine(await self._host.obey(sandbox_id, convert.resume(request), generation))

    @answered
    async def StartMachine(self, request: pb.StartMachineRequest, context: Context) -> pb.Machine:
        sandbox_id, generation = convert.sandbox_id(request.sandbox_id), convert.generation(request.generation)
        return convert.to_machine(await self._host.obey(sandbox_id, convert.start(request), generation))

    @answered
    async def SnapshotMachine(self, request: pb.SnapshotMachineRequest, context: Context) -> pb.Machine:
        sandbox_id, generation = convert.sandbox_id(request.sandbox_id), convert.generation(request.generation)
        return convert.to_machine(await self._host.obey(sandbox_id, convert.snapshot(request), generation))

    @answered
    async def ForkMachine(self, request: pb.ForkMachineRequest, context: Context) -> pb.Machine:
        sandbox_id, generation = convert.sandbox_id(request.sandbox_id), convert.generation(request.generation)
        return convert.to_machine(await self._host.obey(sandbox_id, convert.fork(request), generation))

    @answered
    async def DeleteTemplate(self, request: pb.DeleteTemplateRequest, context: Context) -> pb.Template:
        return convert.to_template(await self._host.delete_template(convert.template_id(request.template_id)))

    @answered
    async def CollectGarbage(self, request: pb.CollectGarbageRequest, context: Context) -> pb.CollectGarbageResponse:
        return convert.to_garbage(await self._host.collect_garbage(dry_run=request.dry_run))

    @answered
    async def SetTimeout(self, request: pb.SetTimeoutRequest, context: Context) -> pb.Machine:
        sandbox_id, timeout_sec = convert.sandbox_id(request.sandbox_id), convert.timeout_sec(request.timeout_sec)
        generation = convert.generation(request.generation) if request.generation else None
        return convert.to_machine(await self._host.set_timeout(sandbox_id, timeout_sec, generation))

    @answered
    async def DestroyMachine(self, request: pb.DestroyMachineRequest, context: Context) -> pb.Machine:
        sandbox_id, generation = convert.sandbox_id(request.sandbox_id), convert.generation(request.generation)
        return convert.to_machine(await self._host.obey(sandbox_id, Destroy(), generation))

    @answered
    async def PingMachine(self, request: pb.PingMachineRequest, context: Context) -> pb.Machine:
        return convert.to_machine(await self._host.ping(convert.sandbox_id(request.sandbox_id)))

    @answered
    async def ListMachines(self, request: pb.ListMachinesRequest, context: Context) -> pb.ListMachinesResponse:
        return convert.to_inventory(self._host.list_machines(), self._host.agent_incarnation)

    @answered
    async def WatchMachines(self, request: pb.WatchMachinesRequest, context: Context) -> None:
        with self._host.watch() as watch:
            inventory = convert.to_inventory(watch.snapshot, self._host.agent_incarnation)
            await context.write(pb.WatchMachinesResponse(inventory=inventory))
            async for change in watch.changes():
                await context.write(convert.to_change(change))

    @answered
    async def PauseAll(self, request: pb.PauseAllRequest, context: Context) -> pb.PauseAllResponse:
        return convert.to_pause_all(await self._host.pause_all(convert.cause(request.cause)))


class CannotListen(Exception):
    """The address is taken, malformed or not allowed; the message says which."""


@contextlib.asynccontextmanager
async def serve(
    host: Host, *, address: str, token: str, name: str, version: str, link: SecureLink | None = None
) -> AsyncIterator[int]:
    """Serves the host on `address` (`ip:port`; port 0: any free one) while the context is open; gives the port. With
    `link` callers show certificates, without it they show the token, in the clear.

    At the end, no new calls are taken, watches end, and calls that are under way get `STOP_GRACE_SECONDS`.

    Raises:
        CannotListen: nothing is served.
    """
    checks = (TokenCheck(token),) if link is None else ()
    server = grpc.aio.server(interceptors=checks, options=_OPTIONS)
    # Streams are written with `context.write`, which the generated class has no types for.
    servicer = cast("host_pb2_grpc.HostAgentServicer", Server(host, name, version, link))
    host_pb2_grpc.add_HostAgentServicer_to_server(servicer, server)
    try:
        if link is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, link.credentials())
    except RuntimeError as error:
        raise CannotListen(f"Cannot listen on {address}: {error}") from error
    await server.start()
    try:
        yield port
    finally:
        host.end_watches()
        await server.stop(STOP_GRACE_SECONDS)

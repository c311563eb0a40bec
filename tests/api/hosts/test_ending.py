"""Refusals that come while something is still being sent, from a host that does nothing else."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from agent.errors import STATUS, Code
from api.domain.command import ExecCommand, check_command
from api.hosts.access import TokenAccess
from api.hosts.client import Exited, HostClient
from api.hosts.errors import CODE_KEY, HostCallError, OutcomeUnknown
from api.ids import new_id
from proto.host.v1 import host_pb2 as pb
from proto.host.v1.host_pb2_grpc import HostAgentServicer, add_HostAgentServicer_to_server

REPETITIONS = 20


class Refusing(HostAgentServicer):
    """Reads some messages of what it is sent, then says no, or that all is done."""

    def __init__(self, code: Code, after_messages: int) -> None:
        self._code = code
        self._after_messages = after_messages

    async def WriteFile(self, requests: AsyncIterator[Any], context: Any) -> None:  # type: ignore[override]  # noqa: N802
        await self._refuse(requests, context)

    async def Exec(self, requests: AsyncIterator[Any], context: Any) -> None:  # type: ignore[override]  # noqa: N802
        await self._refuse(requests, context)

    async def _refuse(self, requests: AsyncIterator[Any], context: Any) -> None:
        for _ in range(self._after_messages):
            await anext(requests)
        await context.abort(STATUS[self._code], "A sentence.", trailing_metadata=((CODE_KEY, self._code.value),))


class Brief(HostAgentServicer):
    """Every command ends by itself at once, whatever it is still to read."""

    async def Exec(self, requests: AsyncIterator[Any], context: Any) -> None:  # type: ignore[override]  # noqa: N802
        await context.write(pb.ExecResponse(exited=pb.ExecExited(exit_code=3)))


@asynccontextmanager
async def client_of(servicer: HostAgentServicer) -> AsyncIterator[HostClient]:
    server = grpc.aio.server()
    add_HostAgentServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    client = HostClient(f"127.0.0.1:{port}", TokenAccess("token"))
    try:
        yield client
    finally:
        await client.close()
        await server.stop(None)


async def _megabytes() -> AsyncIterator[bytes]:
    for _ in range(64):
        yield b"x" * 64 * 1024


async def _upload(client: HostClient) -> None:
    await client.write_file(new_id(), "/root", 0o644, _megabytes())


async def _run(client: HostClient) -> None:
    async for _ in client.exec(new_id(), check_command(ExecCommand(argv=("x",), stdin=b"x" * 1024 * 1024))):
        pass


@pytest.mark.parametrize("call", [_upload, _run])
@pytest.mark.parametrize("after_messages", [0, 1, 20])
@pytest.mark.parametrize(
    "code", [Code.NOT_A_FILE, Code.PERMISSION_DENIED, Code.GUEST_DISK_FULL, Code.COMMAND_NOT_FOUND]
)
async def test_the_hosts_own_code_arrives_whenever_it_refuses(
    code: Code, after_messages: int, call: Callable[[HostClient], Any]
) -> None:
    async with client_of(Refusing(code, after_messages)) as client:  # type: ignore[abstract]
        for _ in range(REPETITIONS):
            with pytest.raises(HostCallError) as refused:
                await call(client)
            assert refused.value.error.code == code.value


async def test_a_command_may_end_before_it_has_read_its_input() -> None:
    async with client_of(Brief()) as client:  # type: ignore[abstract]
        for _ in range(REPETITIONS):
            command = check_command(ExecCommand(argv=("x",), stdin=b"x" * 1024 * 1024))
            seen = [event async for event in client.exec(new_id(), command)]
            assert [event.exit_code for event in seen if isinstance(event, Exited)] == [3]


async def test_what_the_caller_raises_stays_what_it_is() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise KeyError("mine")

    async with client_of(Refusing(Code.INVALID, 1_000)) as client:  # type: ignore[abstract]
        with pytest.raises(KeyError):
            await client.write_file(new_id(), "/a", 0o644, broken())


async def test_a_host_that_is_gone_in_the_middle_is_an_unknown_outcome() -> None:
    client = HostClient("127.0.0.1:9", TokenAccess("token"))
    try:
        with pytest.raises(OutcomeUnknown) as unknown:
            await _upload(client)
        assert unknown.value.error.code == "HOST_UNREACHABLE"
    finally:
        await client.close()

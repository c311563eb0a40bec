"""The calls that go into a guest: commands and files, streamed."""
# ruff: noqa: N802 - names and signatures are those of host.proto

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio

from agent import checks, convert
from agent.answers import Context, answered
from agent.drivers.driver import Process
from agent.errors import AgentError, Code
from agent.host import Host
from proto.host.v1 import host_pb2 as pb


class GuestCalls:
    """Exec, WriteFile and ReadFile of `host.proto`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @answered
    async def Exec(self, _: AsyncIterator[pb.ExecRequest], context: Context) -> None:
        """Ends when the command has; a call that is cancelled kills it."""
        async with aclosing(_sent(context)) as requests:
            first: pb.ExecRequest | None = await anext(requests, None)
            if first is None or first.WhichOneof("request") != "start":
                raise checks.invalid("The first message must be `start`.")
            command = convert.command(first.start)
            with self._host.use(convert.sandbox_id(first.start.sandbox_id)) as machine:
                process = await machine.exec(command)
                try:
                    async with asyncio.TaskGroup() as group:
                        feeding = group.create_task(_feed(process, requests))
                        async for event in process:
                            await context.write(convert.to_exec_response(event))
                        feeding.cancel()
                except* Exception as errors:
                    raise _first(errors) from errors
                finally:
                    await process.close()

    @answered
    async def WriteFile(self, _: AsyncIterator[pb.WriteFileRequest], context: Context) -> pb.WriteFileResponse:
        """The file is there once this returns."""
        async with aclosing(_sent(context)) as requests:
            first: pb.WriteFileRequest | None = await anext(requests, None)
            if first is None or first.WhichOneof("request") != "start":
                raise checks.invalid("The first message must be `start`.")
            path, mode = checks.path(first.start.path), convert.file_mode(first.start.mode)
            with self._host.use(convert.sandbox_id(first.start.sandbox_id)) as machine:
                size_bytes = await machine.write_file(path, mode, _content(requests))
        return pb.WriteFileResponse(size_bytes=size_bytes)

    @answered
    async def ReadFile(self, request: pb.ReadFileRequest, context: Context) -> None:
        """Sends the file as fast as it is read."""
        path = checks.path(request.path)
        offset_bytes = checks.within("offset_bytes", request.offset_bytes, 0, checks.FILE_BYTES_MAX)
        limit_bytes = checks.within("limit_bytes", request.limit_bytes, 0, checks.FILE_BYTES_MAX)
        with self._host.use(convert.sandbox_id(request.sandbox_id)) as machine:
            reader = await machine.read_file(path, offset_bytes=offset_bytes, limit_bytes=limit_bytes)
            await context.write(convert.to_file_info(reader.info))
            async for chunk in reader.content:
                await context.write(pb.ReadFileResponse(content=chunk))


async def _sent(context: Context) -> AsyncGenerator[Any, None]:
    """What a caller sends. gRPC's own iterator is part of a cycle: the last message would stay until somebody looks."""
    while (message := await context.read()) is not grpc.aio.EOF:
        yield message


async def _feed(process: Process, requests: AsyncIterator[pb.ExecRequest]) -> None:
    """Input for a command. A caller that sends no more has not said that the input is at its end: it may be waiting."""
    async for request in requests:
        match request.WhichOneof("request"):
            case "stdin":
                await process.write(checks.chunk(request.stdin))
            case "stdin_eof":
                await process.close_stdin()
            case _:
                raise checks.invalid("After `start` only input follows.")


async def _content(requests: AsyncIterator[pb.WriteFileRequest]) -> AsyncIterator[bytes]:
    """Ends only when the caller has said that this was all: gRPC shows a caller that was cut off as a mere end."""
    async for request in requests:
        match request.WhichOneof("request"):
            case "content":
                yield checks.chunk(request.content)
            case "complete" if request.complete:
                return
            case _:
                raise checks.invalid("After `start` only content follows, then `complete`.")
    raise AgentError(Code.CUT_OFF, "The upload ended before its end: nothing was written.")


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    """What ended the command: the other tasks were cancelled for it."""
    inner = errors.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner

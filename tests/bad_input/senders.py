"""How bad input is sent: by hand over TCP where a library would be too polite, else by the libraries of clients."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.agent.serving import Client as AgentClient
from tests.agent.serving import connected
from tests.api.client import Socket, raw_socket
from tests.bad_input.place import Place

ANSWER_SECONDS_MAX = 20.0
READ_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """`outcome` as in `Cell`; `text` is everything that was said, to look for insides in."""

    outcome: str
    text: str = ""


@dataclass
class Senders:
    """Ways to one place. The connection over HTTP is kept for as long as the server keeps it."""

    place: Place
    agent: AgentClient
    channel: grpc.aio.Channel
    """To the agent, for what its stub would not send."""
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None)

    async def http(self, request: bytes) -> Answer:
        """Sends bytes over a connection that may have been used before, and reads one answer."""
        for is_fresh in (self._streams is None, True):
            if self._streams is None:
                self._streams = await self.dial()
            reader, writer = self._streams
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    writer.write(request)
                    answer, is_kept = await read_answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                # an idle connection that the server has closed meanwhile says nothing about the request
                self.hang_up()
                if is_fresh:
                    raise
                continue
            if not is_kept:
                self.hang_up()
            return answer
        raise AssertionError("unreachable")

    def hang_up(self) -> None:
        """Closes the connection over HTTP."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection."""
        return await asyncio.open_connection("127.0.0.1", self.place.api.port, limit=READ_BYTES_MAX)

    async def flood(self, start: bytes, unit: bytes) -> Answer:
        """Sends `start` and then `unit` again and again, until there is an answer. A connection of its own."""
        reader, writer = await self.dial()
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX), asyncio.TaskGroup() as group:
                pouring = group.create_task(_pour(writer, start, unit))
                answer, _ = await read_answer(reader)
                pouring.cancel()
        finally:
            writer.transport.abort()
        return answer

    @asynccontextmanager
    async def socket(self, *, init: bool = True, **options: Any) -> AsyncIterator[Socket]:
        """A WebSocket, by default one that is ready for operations."""
        async with raw_socket(self.place.api.url, **options) as connection:
            socket = Socket(connection)
            if init:
                await socket.send(type="connection_init", payload={"authorization": f"Bearer {self.place.key}"})
                assert (await socket.receive())["type"] == "connection_ack"
            yield socket

    async def said(self, *messages: str | bytes, init: bool = True, **options: Any) -> Answer:
        """How the server closes a WebSocket on which this is said."""
        try:
            async with self.socket(init=init, **options) as socket:
                # it may be closed while we are still speaking
                with contextlib.suppress(ConnectionClosed):
                    for message in messages:
                        await socket.connection.send(message)
                return await closed(socket.connection)
        except InvalidStatus as refusal:
            return Answer(str(refusal.response.status_code), refusal.response.body.decode(errors="replace"))

    async def call(self, call: Any) -> Answer:
        """What comes of a call of an agent."""
        try:
            await call
        except grpc.aio.AioRpcError as error:
            codes = [str(value) for key, value in error.trailing_metadata() or () if key == "nestbox-code"]
            return Answer(" ".join([error.code().name, *codes]), error.details() or "")
        return Answer("OK")


@asynccontextmanager
async def sending(place: Place) -> AsyncIterator[Senders]:
    """Senders that are closed in the end."""
    async with connected(place.agent.port) as agent, grpc.aio.insecure_channel(place.agent.address) as channel:
        senders = Senders(place, agent, channel)
        try:
            yield senders
        finally:
            senders.hang_up()


async def closed(connection: ClientConnection) -> Answer:
    """The code and reason of a WebSocket's end."""
    code, reason = await Socket(connection).closed()
    return Answer(f"close {code}", reason)


async def read_answer(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    """One answer with a length, and whether the connection may be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = (await reader.readexactly(int(headers["content-length"]))).decode()
    status = status_line.split()[1]
    return Answer(f"{status} {said_in(body)}", head + body), headers.get("connection") != "close"


def said_in(body: str) -> str:
    """The code of an error in a body, whatever shape it has; OK if it has none, or null if that is all that it says."""
    try:
        content = json.loads(body)
    except ValueError:
        return "not JSON"
    if "error" in content:
        return str(content["error"]["code"])
    if content.get("errors"):
        return str(content["errors"][0]["extensions"]["code"])
    found = list((content.get("data") or {"": content}).values())
    if found == [None]:
        return "null"
    errors = found[0].get("userErrors") if isinstance(found[0], dict) else None
    return str(errors[0]["code"]) if errors else "OK"


async def _pour(writer: asyncio.StreamWriter, start: bytes, unit: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(start)
        while True:
            writer.write(unit)
            await writer.drain()
            # as long as the kernel takes everything, nothing else here would have a turn
            await asyncio.sleep(0)

"""A network that can be made bad: a TCP proxy between the control plane and an agent."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

CHUNK_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST."""


@dataclass
class Proxy:
    """Forwards to `target`. What waits in a black hole goes on when it ends, as TCP does after lost packets."""

    target: tuple[str, int]
    delay_seconds: float = 0.0
    port: int = 0
    _requests: asyncio.Event = field(default_factory=asyncio.Event)
    _answers: asyncio.Event = field(default_factory=asyncio.Event)
    _connections: "set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]]" = field(default_factory=set)
    _forgotten: set[asyncio.StreamWriter] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def before(cls, port: int) -> AsyncIterator[Self]:
        """A proxy to this port of this computer."""
        proxy = cls(("127.0.0.1", port))
        proxy.swallow(requests=False, answers=False)
        server = await asyncio.start_server(proxy._connected, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.swallow(requests=False, answers=False)
            proxy.reset()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def swallow(self, *, requests: bool, answers: bool) -> None:
        """From now on nothing arrives in one direction, or in both; connections stay as they are."""
        for event, swallowed in ((self._requests, requests), (self._answers, answers)):
            if swallowed:
                event.clear()
            else:
                event.set()

    def forget(self) -> None:
        """Nothing ever arrives on the connections of now, as when a firewall has lost its memory; new ones work."""
        for pair in self._connections:
            self._forgotten |= set(pair)

    def reset(self) -> None:
        """Every connection is reset, on both sides."""
        for pair in tuple(self._connections):
            for writer in pair:
                raw = writer.get_extra_info("socket")
                if raw is not None:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self._connections.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, far_writer, self._requests, pair))
                group.create_task(self._forward(far_reader, writer, self._answers, pair))
        finally:
            self._connections.discard(pair)
            self._forgotten -= set(pair)
            for end in pair:
                end.transport.abort()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        may_pass: asyncio.Event,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(CHUNK_BYTES):
                await asyncio.sleep(self.delay_seconds)  # not a wait: it is the fault
                await may_pass.wait()
                if writer in self._forgotten:
                    continue
                writer.write(chunk)
                await writer.drain()
        # one direction ended: with gRPC so has the other
        for end in pair:
            if end not in self._forgotten:
                end.transport.abort()

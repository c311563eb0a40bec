"""What the drivers use: a connection to the program in a guest."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Self

from agent.drivers.driver import Command, FileReader
from agent.errors import AgentError, Code
from agent.guest import wire
from agent.link import clock, files, requests
from agent.link.channel import Channel
from agent.link.process import GuestProcess
from agent.link.requests import Identity
from agent.link.stream import Stream, excerpt

__all__ = ["GuestLink", "Identity"]

PING_SECONDS = 10.0
IDENTIFY_SECONDS = 20.0
"""Most is spent on metadata of the new space."""
QUIESCE_SECONDS = 0.2

_ACKNOWLEDGED = frozenset({wire.DONE})


class GuestLink:
    """A connection to a guest. When it is over, everything that was under way raises the AgentError that `lost` gives;
    commands in the guest run on, and what they print is dropped."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @classmethod
    async def open(cls, sock: socket.socket, *, deadline_seconds: float) -> Self:
        """Takes over a connected Unix socket and resynchronises with the guest, which may still be starting.

        Raises: AgentError GUEST_UNRESPONSIVE after the deadline, MACHINE_GONE if the other end closed. The socket is
        closed after a failure or a cancellation; the same guest can be connected to again.
        """
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(Channel, sock=sock)
        await channel.open(deadline_seconds)
        return cls(channel)

    async def lost(self) -> AgentError:
        """Returns why, when the connection is over. Any number may wait, at any time."""
        # a waiter that is cancelled takes only itself away
        return await asyncio.shield(self._channel.lost)

    @property
    def is_lost(self) -> bool:
        """Whether the connection is over."""
        return self._channel.lost.done()

    async def identify(self, identity: Identity) -> None:
        """Returns when the guest has applied all of it. May be repeated. Raises: AgentError."""
        answer = await self._acknowledged(wire.IDENTIFY, requests.identity(identity), IDENTIFY_SECONDS)
        if identity.unix_ns and len(answer) == wire.TIME.size:
            read_ns = wire.TIME.unpack(answer)[0]
            if behind_ns := await clock.error_ns(identity.unix_ns, read_ns, self._clock_ns):
                self.set_forward(behind_ns)

    def set_forward(self, nanoseconds: int) -> None:
        """Has the guest set its clock forward by so much. Nobody waits for it: what is asked of the guest from now on
        comes behind it. Raises: AgentError if it cannot be asked for."""
        Stream(self._channel, wire.CLOCK, wire.TIME.pack(nanoseconds), answers=_ACKNOWLEDGED)

    async def _clock_ns(self) -> int:
        answer = await self._acknowledged(wire.CLOCK, wire.TIME.pack(0), IDENTIFY_SECONDS)
        if len(answer) != wire.TIME.size:
            raise AgentError(Code.INTERNAL, "The guest's agent gave an impossible answer.", detail=excerpt(answer))
        return int(wire.TIME.unpack(answer)[0])

    async def resize(self, size_bytes: int, deadline_seconds: float) -> None:
        """Returns when the guest's root file system has all of its disk, which is `size_bytes` large by now. May be
        repeated. Raises: AgentError."""
        await self._acknowledged(wire.RESIZE, wire.COUNT.pack(size_bytes), deadline_seconds)

    async def ping(self, deadline_seconds: float = PING_SECONDS) -> None:
        """Returns when the guest has answered. Raises: AgentError GUEST_UNRESPONSIVE, MACHINE_GONE."""
        await self._acknowledged(wire.PING, b"", deadline_seconds)

    async def _acknowledged(self, request: int, body: bytes, deadline_seconds: float) -> bytes:
        await self._channel.ready()
        stream = Stream(self._channel, request, body, answers=_ACKNOWLEDGED)
        try:
            return (await stream.next(deadline_seconds))[1]
        finally:
            stream.close()

    async def exec(self, command: Command) -> GuestProcess:
        """Starts a command; its first event says whether it could be started. Raises: AgentError INVALID, BUSY."""
        await self._channel.ready()
        return GuestProcess(self._channel, command)

    async def write_file(self, path: str, mode: int, content: AsyncIterator[bytes]) -> int:
        """See `LiveMachine.write_file`."""
        return await files.write_file(self._channel, path, mode, content)

    async def read_file(self, path: str, *, offset_bytes: int = 0, limit_bytes: int = 0) -> FileReader:
        """See `LiveMachine.read_file`."""
        return await files.read_file(self._channel, path, offset_bytes, limit_bytes)

    async def quiesce(self, deadline_seconds: float = QUIESCE_SECONDS) -> None:
        """For the moment before a machine is stopped: nothing is sent from now on, requests wait, and QEMU has taken
        what was sent before (or the deadline is over: a guest that does not read delays nothing). Until `release`."""
        await self._channel.quiesce(deadline_seconds)

    def release(self) -> None:
        """Ends `quiesce`."""
        self._channel.release()

    async def close(self) -> None:
        """Lets go of the guest. May be repeated."""
        self._channel.close(AgentError(Code.MACHINE_GONE, "The connection to the guest was closed."))

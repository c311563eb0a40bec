"""A guest of which every byte is forged, and one that is as it should be."""

import asyncio
import socket

from agent.guest import wire
from agent.link.link import GuestLink
from tests.fuzz.clock import settled

SAID_BYTES_MAX = 2 << 20  # in one scene: eight windows of output
READ_BYTES = 1 << 18
FOR_EVER_SECONDS = 1e9


class ForgedGuest:
    """The guest's end of a link. Nothing but the preamble is its own idea."""

    def __init__(self) -> None:
        self.port, self.host_end = socket.socketpair()
        self.port.setblocking(False)
        self.deaf = False
        self.gone = False
        self._preamble = bytes(wire.PREAMBLE_BYTES)
        self._tail = b""
        self._last = b""
        self._said_bytes = 0

    async def say(self, data: bytes) -> None:
        """Sends it, as the host takes it. What is over the limit is left out."""
        data = data[: SAID_BYTES_MAX - self._said_bytes]
        self._said_bytes += len(data)
        self._last = data
        rest = memoryview(data)
        while rest and not self.gone:
            try:
                rest = rest[self.port.send(rest) :]
            except BlockingIOError:
                await self.pause()
            except (BrokenPipeError, ConnectionResetError):
                break

    async def repeat(self, times: int) -> None:
        """Says again what it said last, that often."""
        last = self._last
        if last:
            await self.say(last * min(times, SAID_BYTES_MAX // len(last)))
        self._last = last

    async def hello(self) -> None:
        """Answers the last preamble that it heard."""
        await self.say(self._preamble)

    async def pause(self) -> None:
        """Lets the host do what it does, and hears what it says, unless it is deaf."""
        await settled()
        if not self.deaf and self._hear():
            await settled()

    def _hear(self) -> bool:
        heard = False
        while not self.gone:
            try:
                data = self.port.recv(READ_BYTES)
            except (BlockingIOError, ConnectionResetError):
                break
            if not data:
                break
            heard = True
            self._tail = (self._tail + data)[-wire.PREAMBLE_BYTES :]
            if self._tail.startswith(wire.MAGIC):
                self._preamble = self._tail
        return heard

    def hang_up(self) -> None:
        """Its end is closed, as when QEMU ends. May be repeated."""
        self.gone = True
        self.port.close()


class Neighbour:
    """Another machine of the same host, which is asked before and answers after the other one did its worst."""

    def __init__(self) -> None:
        self._guest = ForgedGuest()

    async def ask(self) -> None:
        """Opens its link, and asks it for something that it is to answer only later."""
        opening = asyncio.ensure_future(GuestLink.open(self._guest.host_end, deadline_seconds=1))
        await self._guest.pause()
        await self._guest.hello()
        await self._guest.pause()
        self._link = await opening
        self._asked = asyncio.ensure_future(self._link.ping(FOR_EVER_SECONDS))
        await self._guest.pause()

    async def answer(self) -> None:
        """It answers, and is understood: this raises if it is not."""
        assert not self._asked.done(), "an answer came to the wrong link"
        await self._guest.say(wire.HEADER.pack(0, 1, wire.DONE))
        await self._asked
        assert not self._link.is_lost

    def hang_up(self) -> None:
        """It is gone as well. May be repeated."""
        self._guest.hang_up()

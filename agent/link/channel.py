"""Bytes to frames and back over one connection to a guest, and the opening of it."""

import asyncio
import fcntl
import os
import struct
import termios
from typing import Protocol

from agent.errors import AgentError, Code
from agent.guest import wire

WRITE_BUFFER_HIGH = 256 * 1024  # above it, senders of data wait
WRITE_BUFFER_MAX = 8 << 20  # two requests of the largest size, and credit; above it the guest does not read at all
FIRST_RETRY_SECONDS = 1.0  # a loaded, emulated guest that has just been cloned answers in 0.3 s
LAST_RETRY_SECONDS = 8.0
STALL_SECONDS = 60.0
"""How long a guest may take for its next move where it has nothing to wait for, before it counts as hung."""
QUIESCE_POLL_SECONDS = 0.001

_FROM_GUEST = frozenset({wire.CREDIT, *range(wire.DONE, wire.CLOSED + 1)})


class Violation(Exception):
    """The guest broke the protocol. It is not spoken to again over this connection."""


class Receiver(Protocol):
    """A stream, as the channel sees it."""

    def receive(self, kind: int, payload: bytes) -> bool:
        """Takes a frame; answers whether it was the last one. Raises: Violation."""

    def fail(self, error: AgentError) -> None:
        """The connection is over."""


class Channel(asyncio.Protocol):
    """One connection. After `error` is set nothing comes or goes any more."""

    def __init__(self) -> None:
        self.error: AgentError | None = None
        self.lost: asyncio.Future[AgentError] = asyncio.get_running_loop().create_future()
        self.streams: dict[int, Receiver] = {}
        self.last_number = 0
        self._transport: asyncio.Transport | None = None
        self._inbox = bytearray()
        self._sought = b""
        self._found = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._released = asyncio.Event()
        self._released.set()
        self._held = bytearray()

    # opening

    async def open(self, deadline_seconds: float) -> None:
        """Finds the beginning of this connection in what the guest sends. Raises: AgentError GUEST_UNRESPONSIVE,
        MACHINE_GONE; the connection is closed then."""
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._resynchronise()
        except TimeoutError:
            self.close(AgentError(Code.GUEST_UNRESPONSIVE, f"The guest did not answer within {deadline_seconds:g} s."))
        except asyncio.CancelledError:
            self.close(AgentError(Code.MACHINE_GONE, "The connection to the guest was given up."))
            raise
        if self.error is not None:
            raise self.error

    async def _resynchronise(self) -> None:
        padding, wait = b"", FIRST_RETRY_SECONDS
        while not self._found.is_set():
            # an answer to an earlier nonce proves nothing: the guest forgets all again when it sees this one
            nonce = os.urandom(wire.NONCE_BYTES)
            self._sought = wire.MAGIC + nonce
            self._write(padding + self._sought)
            padding = wire.RESYNC_PADDING
            try:
                await asyncio.wait_for(self._found.wait(), wait)
            except TimeoutError:
                wait = min(wait * 2, LAST_RETRY_SECONDS)

    # from the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once, by the event loop."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a guest link needs a stream, not {transport!r}")
        transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH)
        self._transport = transport

    def pause_writing(self) -> None:
        """The buffer is above its high mark: `ready` waits."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The buffer is below its low mark."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """QEMU has closed the link, or we have."""
        self.close(AgentError(Code.MACHINE_GONE, "The machine is gone.", detail=f"guest link lost: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the guest; a violation ends the connection."""
        if self.error is not None:
            return
        self._inbox += data
        try:
            if self._sought:
                self._seek()
            if not self._sought:
                self._cut()
        except Violation as violation:
            message = "The guest's agent does not keep to its protocol, or was restarted."
            self.close(AgentError(Code.GUEST_UNRESPONSIVE, message, detail=str(violation)))

    def _seek(self) -> None:
        start = self._inbox.find(self._sought)
        if start < 0:
            del self._inbox[: 1 - wire.PREAMBLE_BYTES]
            return
        del self._inbox[: start + wire.PREAMBLE_BYTES]
        self._sought = b""
        self._found.set()

    def _cut(self) -> None:
        inbox, start = self._inbox, 0
        try:
            while len(inbox) - start >= wire.HEADER.size:
                length, number, kind = wire.HEADER.unpack_from(inbox, start)
                if length > wire.PAYLOAD_BYTES_MAX or kind not in _FROM_GUEST:
                    raise Violation(f"a frame of {length} bytes and kind {kind}")
                end = start + wire.HEADER.size + length
                if len(inbox) < end:
                    return
                payload = bytes(inbox[start + wire.HEADER.size : end])
                start = end
                self._deliver(number, kind, payload)
        finally:
            del inbox[:start]

    def _deliver(self, number: int, kind: int, payload: bytes) -> None:
        stream = self.streams.get(number)
        if stream is None:
            raise Violation(f"a frame of kind {kind} for stream {number}, which is not open")
        try:
            last = stream.receive(kind, payload)
        except struct.error as error:
            raise Violation(f"a malformed frame of kind {kind}: {error}") from None
        if last:
            del self.streams[number]

    # sending

    async def ready(self) -> None:
        """Waits until data may be sent. Raises: AgentError when the connection is over."""
        while self.error is None and not (self._writable.is_set() and self._released.is_set()):
            try:
                await asyncio.wait_for(self._writable.wait(), STALL_SECONDS)
            except TimeoutError:
                self.close(AgentError(Code.GUEST_UNRESPONSIVE, "The guest's agent does not read what it is sent."))
            await self._released.wait()
        if self.error is not None:
            raise self.error

    def send(self, stream: int, kind: int, payload: bytes = b"") -> None:
        """Sends a frame, or keeps it while the link is quiesced. Does nothing when the connection is over."""
        frame = wire.HEADER.pack(len(payload), stream, kind) + payload
        if self._released.is_set():
            self._write(frame)
        else:
            self._held += frame

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if self.error is not None or transport is None:
            return
        transport.write(data)
        if transport.get_write_buffer_size() > WRITE_BUFFER_MAX:
            self.close(AgentError(Code.GUEST_UNRESPONSIVE, "The guest's agent does not read what it is sent."))

    async def quiesce(self, deadline_seconds: float) -> None:
        """Holds all frames back and waits until QEMU has taken what was sent, or the deadline is over."""
        self._released.clear()
        # the kernel tells nobody when the other end has read, so we look
        for _ in range(round(deadline_seconds / QUIESCE_POLL_SECONDS)):
            if self.error is not None or not self._unsent_bytes():
                return
            await asyncio.sleep(QUIESCE_POLL_SECONDS)

    def release(self) -> None:
        """Ends `quiesce`: what was held back is sent."""
        held, self._held = bytes(self._held), bytearray()
        self._released.set()
        if held:
            self._write(held)

    def _unsent_bytes(self) -> int:
        """What is still in our buffers or the socket's."""
        transport = self._transport
        if transport is None:
            return 0
        connection = transport.get_extra_info("socket")
        unread = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
        return transport.get_write_buffer_size() + int.from_bytes(unread, "little")

    def close(self, error: AgentError) -> None:
        """Ends the connection; every open stream fails with `error`. Later calls change nothing."""
        if self.error is not None:
            return
        self.error = error
        if self._transport is not None:
            self._transport.abort()
        self._inbox.clear()
        self._held.clear()
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.fail(error)
        for event in (self._found, self._writable, self._released):
            event.set()
        self.lost.set_result(error)

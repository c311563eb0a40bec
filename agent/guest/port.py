"""The guest's end of the link: bytes to frames and back, and the host's comings and goings."""

from __future__ import annotations

import os

from agent.guest import wire
from agent.guest.loop import EDGE, IN, OUT, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from typing import Protocol

    class Listener(Protocol):
        """What is told about the link."""

        def begin(self) -> None:
            """A new connection: whatever an earlier one began has no reader any more."""

        def lost(self) -> None:
            """The host has gone."""

        def frame(self, stream: int, kind: int, payload: bytes) -> None:
            """A frame of a valid kind and length."""


OUTBOX_FULL = 128 * 1024  # then nothing more is read from commands and files
READ_BYTES = 64 * 1024
_KNOWN = frozenset(range(wire.IDENTIFY, wire.CLOCK + 1))


class Port:
    """A connection at a time. What is sent while there is none is dropped with the next preamble."""

    def __init__(self, loop: Loop, listener: Listener, descriptor: int) -> None:
        self._loop = loop
        self._listener = listener
        self._descriptor = descriptor
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._hunting = True
        self._blocked = False
        self._away = False
        self._stalled: list[Callable[[], None]] = []

    def open(self) -> None:
        """Starts to listen, and tells a host that was connected to an earlier guest that this one is new."""
        os.set_blocking(self._descriptor, False)
        self._loop.watch(self._descriptor, IN, self._readable)
        self._outbox += wire.MAGIC + bytes(wire.NONCE_BYTES)
        self.flush()

    @property
    def full(self) -> bool:
        """Whether a sender of data should wait; `when_free` says until when."""
        return len(self._outbox) >= OUTBOX_FULL

    def when_free(self, handler: Callable[[], None]) -> None:
        """Calls `handler` once, when `full` no longer holds; never, if the host goes."""
        self._stalled.append(handler)

    def send(self, stream: int, kind: int, payload: bytes = b"") -> None:
        """Queues a frame; `flush` sends it."""
        self._outbox += wire.HEADER.pack(len(payload), stream, kind)
        self._outbox += payload

    def flush(self) -> None:
        """Writes what the port takes; the rest follows when it takes more."""
        outbox = self._outbox
        try:
            while outbox:
                # the port takes at most 32 KiB at once
                del outbox[: os.write(self._descriptor, outbox[:32768])]
        except BlockingIOError:
            # no host, or a slow one: a gone one is noticed by reading
            if not self._blocked and not self._away:
                self._blocked = True
                self._loop.change(self._descriptor, IN | OUT)
        except OSError:
            outbox.clear()
        if self._stalled and not self.full:
            stalled, self._stalled = self._stalled, []
            for handler in stalled:
                handler()

    def _readable(self) -> None:
        if self._blocked:
            self._blocked = False
            self._loop.change(self._descriptor, IN)
            self.flush()
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._host_left()
            return
        if self._away:
            self._away = False
            self._loop.change(self._descriptor, IN)
        self._inbox += data
        self._cut()

    def _host_left(self) -> None:
        """A port without a host is always readable and gives nothing. Waiting for a change of that instead of for
        data keeps an idle guest asleep."""
        if self._away:
            return
        self._away = True
        self._blocked = False
        self._hunting = True
        self._inbox.clear()
        self._outbox.clear()
        self._loop.change(self._descriptor, IN | EDGE)
        self._listener.lost()

    def _cut(self) -> None:
        inbox = self._inbox
        header = wire.HEADER
        while True:
            if self._hunting:
                if not self._find_preamble():
                    return
                continue
            if len(inbox) < header.size:
                return
            length, stream, kind = header.unpack_from(inbox)
            if length > wire.PAYLOAD_BYTES_MAX or kind not in _KNOWN or stream == 0:
                self._hunting = True
                continue
            end = header.size + length
            if len(inbox) < end:
                return
            payload = bytes(inbox[header.size : end])
            del inbox[:end]
            self._listener.frame(stream, kind, payload)

    def _find_preamble(self) -> bool:
        inbox = self._inbox
        start = inbox.find(wire.MAGIC)
        if start < 0:
            del inbox[: -len(wire.MAGIC) + 1]
            return False
        if len(inbox) < start + wire.PREAMBLE_BYTES:
            del inbox[:start]
            return False
        preamble = bytes(inbox[start : start + wire.PREAMBLE_BYTES])
        del inbox[: start + wire.PREAMBLE_BYTES]
        self._hunting = False
        self._outbox.clear()
        self._stalled.clear()
        self._listener.begin()
        self._outbox += preamble
        return True


class SocketPort(Port):
    """The link over a listening Unix socket: the guest on the development machine."""

    def __init__(self, loop: Loop, listener: Listener, server: socket) -> None:
        self._server = server
        self._connection = server.accept()[0]
        super().__init__(loop, listener, self._connection.fileno())

    def _host_left(self) -> None:
        self._loop.forget(self._descriptor)
        self._connection.close()
        self._blocked = False
        self._hunting = True
        self._inbox.clear()
        self._outbox.clear()
        self._listener.lost()
        self._loop.watch(self._server.fileno(), IN, self._accept)

    def _accept(self) -> None:
        self._connection = self._server.accept()[0]
        self._loop.forget(self._server.fileno())
        self._descriptor = self._connection.fileno()
        self.open()

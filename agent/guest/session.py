"""One connection of the host: which requests are under way, and who answers what."""

from __future__ import annotations

import struct

from agent.guest import disk, refusal, wire
from agent.guest.files import FileReader, FileWriter
from agent.guest.process import Process
from agent.guest.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.guest.identity import Identity
    from agent.guest.loop import Loop
    from agent.guest.port import Port
    from agent.guest.process import Spawner

    Stream = Process | FileWriter | FileReader


class Session:
    """Hands frames to the streams that they are for. Streams answer through it."""

    def __init__(self, loop: Loop, spawner: Spawner, identity: Identity, *, machine: bool) -> None:
        """Without `machine` this runs on somebody's computer, whose disk is left alone."""
        self.loop = loop
        self.spawner = spawner
        self._identity = identity
        self._machine = machine
        self._streams: dict[int, Stream] = {}
        self._parts: dict[int, bytearray] = {}

    def serve(self, port: Port) -> None:
        """Never returns."""
        self._port = port
        self.send = port.send
        port.open()
        turn, flush = self.loop.turn, port.flush
        while True:
            turn()
            flush()

    # what streams need

    @property
    def full(self) -> bool:
        """Whether data should wait."""
        return self._port.full

    def when_free(self, handler: Callable[[], None]) -> None:
        """Calls once, when data may be sent."""
        self._port.when_free(handler)

    def forget(self, stream: int) -> None:
        """The stream has sent its last frame."""
        self._streams.pop(stream, None)

    def fail(self, stream: int, reason: Refusal) -> None:
        """Answers with a refusal."""
        text = reason.code.encode() + b"\0" + reason.message.encode("utf-8", "replace")
        self._port.send(stream, wire.FAILED, text[: wire.PAYLOAD_BYTES_MAX])

    # what the port tells

    def begin(self) -> None:
        """The requests of an earlier connection are nobody's."""
        self.lost()

    def lost(self) -> None:
        """The host has gone."""
        streams, self._streams = self._streams, {}
        self._parts.clear()
        for stream in streams.values():
            stream.lost()

    def frame(self, stream: int, kind: int, payload: bytes) -> None:
        """Does what the host asks. Whatever goes wrong is an answer, never the end of this program."""
        try:
            if wire.DATA <= kind <= wire.CLOSE:
                self._continue(stream, kind, payload)
            elif kind == wire.PART:
                self._keep(stream, payload)
            else:
                parts = self._parts.pop(stream, b"")
                self._begin(stream, kind, bytes(parts) + payload if parts else payload)
        except Refusal as reason:
            self.fail(stream, reason)
        except OSError as error:
            self.fail(stream, refusal.of_os_error(error, b"a file that the identity is kept in"))
        except (struct.error, ValueError, IndexError) as error:
            self.fail(stream, Refusal(refusal.INVALID, f"The request is malformed: {error}."))

    def _begin(self, stream: int, kind: int, body: bytes) -> None:
        if kind == wire.PING:
            self.send(stream, wire.DONE, b"")
        elif kind == wire.IDENTIFY:
            self.send(stream, wire.DONE, self._identity.apply(body))
        elif kind in (wire.RESIZE, wire.CLOCK):
            self.send(stream, wire.DONE, self._adjust(kind, body))
        elif len(self._streams) >= wire.STREAMS_MAX:
            raise Refusal(refusal.BUSY, f"The sandbox already does {wire.STREAMS_MAX} things at once.")
        elif kind == wire.EXEC:
            self._streams[stream] = Process(self, stream, body)
        elif kind == wire.WRITE:
            self._streams[stream] = FileWriter(self, stream, body)
        else:
            self._streams[stream] = FileReader(self, stream, body)

    def _adjust(self, kind: int, body: bytes) -> bytes:
        if not self._machine:
            raise Refusal(refusal.INVALID, "This runs on somebody's computer.")
        if kind == wire.RESIZE:
            disk.grow(wire.COUNT.unpack(body)[0])
            return b""
        return self._identity.adjust(wire.TIME.unpack(body)[0])

    def _keep(self, stream: int, payload: bytes) -> None:
        parts = self._parts.setdefault(stream, bytearray())
        if len(parts) + len(payload) <= wire.REQUEST_BYTES_MAX:
            parts += payload

    def _continue(self, stream: int, kind: int, payload: bytes) -> None:
        found = self._streams.get(stream)
        if kind == wire.CLOSE:
            if found is not None:
                self.forget(stream)
                found.close()
            elif self._parts.pop(stream, None) is None:
                return
            self.send(stream, wire.CLOSED, b"")
        elif found is None:
            return  # it ended while this was on its way
        elif kind == wire.DATA:
            found.data(payload)
        elif kind == wire.END:
            found.end()
        else:
            found.credit(wire.COUNT.unpack(payload)[0])

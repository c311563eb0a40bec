"""One request to a guest: what it may answer, credit both ways, and its end."""

import asyncio
from collections import deque

from agent.errors import AgentError, Code
from agent.guest import wire
from agent.link.channel import Channel, Violation

MESSAGE_CHARACTERS_MAX = 500
DETAIL_BYTES_MAX = 64
"""Of what a guest said, in the detail of an error. A frame holds 32 KiB, and details go to logs."""

_DATA = frozenset({wire.STDOUT, wire.STDERR, wire.CONTENT})
_LAST = frozenset({wire.DONE, wire.FAILED, wire.EXITED, wire.END_OF_FILE, wire.CLOSED})
_ONCE = frozenset({wire.STARTED, wire.INFO})
_SIZES = {
    wire.STARTED: wire.PID.size,
    wire.EXITED: wire.EXIT.size,
    wire.INFO: wire.FILE_INFO.size,
    wire.END_OF_FILE: 0,
    wire.CLOSED: 0,
}
_CODES = frozenset(
    {
        Code.INVALID,
        Code.BUSY,
        Code.COMMAND_NOT_FOUND,
        Code.COMMAND_NOT_EXECUTABLE,
        Code.NO_SUCH_DIRECTORY,
        Code.NO_SUCH_FILE,
        Code.NOT_A_FILE,
        Code.PERMISSION_DENIED,
        Code.GUEST_DISK_FULL,
        Code.INTERNAL,
    }
)


class Stream:
    """Frames of one request. It holds at most `OUTPUT_WINDOW` of the guest's data."""

    def __init__(
        self, channel: Channel, request: int, body: bytes, *, answers: frozenset[int], window: int = 0
    ) -> None:
        """Sends the request. `answers` are the kinds that may come beside `FAILED`, `CLOSED` and, with a `window` for
        data, `CREDIT`. Raises: AgentError when the connection is over or too many requests are under way."""
        if channel.error is not None:
            raise channel.error
        if len(channel.streams) >= wire.STREAMS_MAX:
            raise AgentError(Code.BUSY, f"The sandbox already does {wire.STREAMS_MAX} things at once.")
        self._channel = channel
        self._answers = answers
        self._window = window
        self._send_credit = window
        self._receive_credit = wire.OUTPUT_WINDOW
        self._taken = 0
        self._frames: deque[tuple[int, bytes]] = deque()
        self._came: set[int] = set()
        self._moved = asyncio.Event()
        self._error: AgentError | None = None
        self.ended = False
        """The guest has sent its last frame, or the connection is over."""
        self._closing = False
        self.number = _free_number(channel)
        channel.streams[self.number] = self
        while len(body) > wire.PAYLOAD_BYTES_MAX:
            channel.send(self.number, wire.PART, body[: wire.PAYLOAD_BYTES_MAX])
            body = body[wire.PAYLOAD_BYTES_MAX :]
        channel.send(self.number, request, body)

    # from the channel

    def receive(self, kind: int, payload: bytes) -> bool:
        """Takes a frame of the guest. Raises: Violation."""
        if kind == wire.CREDIT:
            (count,) = wire.COUNT.unpack(payload)
            self._send_credit += count
            # none at all would be a frame that costs the guest nothing, of which it could send any number
            if not count or self._send_credit > self._window:
                raise Violation(f"no credit, or more than was ever used: {self._send_credit}")
        elif kind not in self._answers and kind != wire.FAILED and not (kind == wire.CLOSED and self._closing):
            raise Violation(f"an answer of kind {kind}, which does not fit the request")
        else:
            self._check(kind, payload)
            if not self._closing:
                self._frames.append((kind, payload))
        self.ended = kind in _LAST
        self._moved.set()
        return self.ended

    def _check(self, kind: int, payload: bytes) -> None:
        if len(payload) != _SIZES.get(kind, len(payload)):
            raise Violation(f"{len(payload)} bytes in a frame of kind {kind}")
        if kind in _DATA:
            self._receive_credit -= len(payload) + wire.FRAME_COST
            if not payload or self._receive_credit < 0:
                raise Violation("data without credit, or no data")
            if not self._came:
                raise Violation("data before the request was answered")
        elif kind in _ONCE:
            if kind in self._came:
                raise Violation(f"a second answer of kind {kind}")
            self._came.add(kind)
        elif kind in (wire.EXITED, wire.END_OF_FILE) and not self._came:
            raise Violation("an end without a beginning")

    def fail(self, error: AgentError) -> None:
        """The connection is over: whoever waits is told at once, and what came of an unfinished answer is dropped."""
        self._error = error
        self._frames.clear()
        self.ended = True
        self._moved.set()

    # for the request

    async def next(self, deadline_seconds: float | None = None) -> tuple[int, bytes]:
        """The guest's next frame but credit. Raises: AgentError if it is a refusal, the connection is over or the
        deadline passed."""
        try:
            async with asyncio.timeout(deadline_seconds):
                while not self._frames:
                    if self._error is not None:
                        raise self._error
                    if self.ended or self._closing:
                        raise AgentError(Code.INTERNAL, "This request to the guest is over.")
                    await self._wait()
        except TimeoutError:
            raise AgentError(Code.GUEST_UNRESPONSIVE, "The guest did not answer in time.") from None
        kind, payload = self._frames.popleft()
        if kind == wire.FAILED:
            raise _refusal(payload)
        if kind in _DATA:
            self._give_back(len(payload) + wire.FRAME_COST)
        return kind, payload

    def _give_back(self, cost: int) -> None:
        self._taken += cost
        if self._taken >= wire.CREDIT_STEP and not self.ended:
            self._receive_credit += self._taken
            self._channel.send(self.number, wire.CREDIT, wire.COUNT.pack(self._taken))
            self._taken = 0

    async def send(self, data: bytes, deadline_seconds: float | None = None) -> None:
        """Sends data as credit comes; drops it when the guest has ended the stream. Raises: AgentError."""
        view = memoryview(data)
        while view and not self.ended and not self._closing:
            room = min(wire.PAYLOAD_BYTES_MAX, self._send_credit - wire.FRAME_COST)
            if room <= 0:
                try:
                    async with asyncio.timeout(deadline_seconds):
                        await self._wait()
                except TimeoutError:
                    raise AgentError(Code.GUEST_UNRESPONSIVE, "The guest does not take data.") from None
                continue
            await self._channel.ready()
            if self.ended or self._closing:
                break
            piece, view = bytes(view[:room]), view[room:]
            self._send_credit -= len(piece) + wire.FRAME_COST
            self._channel.send(self.number, wire.DATA, piece)
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """No more data follows."""
        if not self.ended and not self._closing:
            self._channel.send(self.number, wire.END)

    def close(self) -> None:
        """Has the guest kill or undo what this is, unless it has ended. May be repeated."""
        if not self._closing and not self.ended:
            self._closing = True
            self._frames.clear()
            # what is under way is taken and dropped, so that the guest gets rid of it and can say that it closed
            self._channel.send(self.number, wire.CLOSE)
            self._moved.set()

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()


def excerpt(payload: bytes) -> str:
    """What a guest said, as far as a log needs it: hex digits."""
    return payload[:DETAIL_BYTES_MAX].hex()


def _free_number(channel: Channel) -> int:
    number = channel.last_number % 0xFFFFFFFF + 1
    while number in channel.streams:
        number = number % 0xFFFFFFFF + 1
    channel.last_number = number
    return number


def _refusal(payload: bytes) -> AgentError:
    code, _, text = payload.partition(b"\0")
    name = code[:DETAIL_BYTES_MAX].decode("ascii", "replace")
    message = "".join(c for c in text.decode("utf-8", "replace") if c.isprintable())[:MESSAGE_CHARACTERS_MAX]
    if name not in _CODES:
        return AgentError(Code.INTERNAL, "The guest's agent failed in an unknown way.", detail=f"{name!r}: {message}")
    return AgentError(Code(name), message or "The guest's agent refused.")

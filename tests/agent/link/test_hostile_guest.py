"""A guest is an attacker: whatever it sends, the host's memory is bounded, and nothing but AgentErrors come of it."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.drivers.driver import Command, Started
from agent.errors import AgentError, Code
from agent.guest import wire
from agent.link import channel
from agent.link.channel import WRITE_BUFFER_MAX
from agent.link.link import GuestLink

Frame = tuple[int, int, bytes]


class ForgedGuest:
    """Answers the preamble, and then says what a test wants."""

    def __init__(self) -> None:
        self.port, self.host_end = socket.socketpair()
        self.port.setblocking(False)
        self._inbox = bytearray()

    async def open(self) -> GuestLink:
        opening = asyncio.ensure_future(GuestLink.open(self.host_end, deadline_seconds=20))
        preamble = await self._receive(wire.PREAMBLE_BYTES)
        await self.say(preamble)
        return await opening

    async def _receive(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        while len(self._inbox) < size:
            self._inbox += await loop.sock_recv(self.port, 65536)
        data = bytes(self._inbox[:size])
        del self._inbox[:size]
        return data

    async def heard(self) -> Frame:
        length, stream, kind = wire.HEADER.unpack(await self._receive(wire.HEADER.size))
        return stream, kind, await self._receive(length)

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.port, data)

    async def frame(self, stream: int, kind: int, payload: bytes = b"") -> None:
        await self.say(wire.HEADER.pack(len(payload), stream, kind) + payload)


@pytest_asyncio.fixture
async def forged() -> AsyncIterator[ForgedGuest]:
    guest = ForgedGuest()
    yield guest
    guest.port.close()


async def started(forged: ForgedGuest, link: GuestLink) -> tuple[int, AsyncIterator[object]]:
    process = await link.exec(Command(("true",)))
    stream, kind, _ = await forged.heard()
    assert kind == wire.EXEC
    await forged.frame(stream, wire.STARTED, wire.PID.pack(7))
    events = aiter(process)
    assert await anext(events) == Started(7)
    return stream, events


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (wire.STARTED, wire.PID.pack(7)),  # a second time
        (wire.STDOUT, b""),
        (wire.CONTENT, b"x"),
        (wire.INFO, bytes(wire.FILE_INFO.size)),
        (wire.DONE, b""),
        (wire.CLOSED, b""),
        (wire.END_OF_FILE, b""),
        (wire.CREDIT, wire.COUNT.pack(1)),
        (wire.CREDIT, wire.COUNT.pack(0)),  # endless, and free
        (wire.CREDIT, b"x"),
        (wire.PING, b""),
        (0, b""),
        (99, b""),
    ],
)
async def test_a_frame_that_does_not_fit_ends_the_link(forged: ForgedGuest, kind: int, payload: bytes) -> None:
    link = await forged.open()
    stream, events = await started(forged, link)
    await forged.frame(stream, kind, payload)
    with pytest.raises(AgentError) as caught:
        await anext(events)
    assert caught.value.code is Code.GUEST_UNRESPONSIVE
    assert link.is_lost


@pytest.mark.parametrize("number", [0, 1000, 0xFFFFFFFF])
async def test_a_foreign_stream_ends_the_link(forged: ForgedGuest, number: int) -> None:
    link = await forged.open()
    stream, events = await started(forged, link)
    assert number != stream
    await forged.frame(number, wire.STDOUT, b"x")
    with pytest.raises(AgentError):
        await anext(events)
    assert link.is_lost


async def test_an_impossible_length_ends_the_link(forged: ForgedGuest) -> None:
    link = await forged.open()
    await forged.say(wire.HEADER.pack(wire.PAYLOAD_BYTES_MAX + 1, 1, wire.STDOUT))
    assert (await link.lost()).code is Code.GUEST_UNRESPONSIVE


@pytest.mark.parametrize("size", [1, 1000, wire.PAYLOAD_BYTES_MAX])
async def test_data_beyond_the_credit_ends_the_link(forged: ForgedGuest, size: int) -> None:
    link = await forged.open()
    stream, _ = await started(forged, link)
    sent = 0
    while sent + size + wire.FRAME_COST <= wire.OUTPUT_WINDOW:
        await forged.frame(stream, wire.STDOUT, bytes(size))
        sent += size + wire.FRAME_COST
    assert not link.is_lost
    await forged.frame(stream, wire.STDERR, bytes(size))
    assert (await link.lost()).code is Code.GUEST_UNRESPONSIVE


@pytest.mark.parametrize(
    "payload",
    [
        wire.EXIT.pack(-1, 0, 0, 0),
        wire.EXIT.pack(256, 0, 0, 0),
        wire.EXIT.pack(0, 200, 0, 0),
        wire.EXIT.pack(0, 0, 2, 0),
        wire.EXIT.pack(0, 0, 0, (1 << 64) - 1),
    ],
)
async def test_an_impossible_exit_is_an_error(forged: ForgedGuest, payload: bytes) -> None:
    link = await forged.open()
    stream, events = await started(forged, link)
    await forged.frame(stream, wire.EXITED, payload)
    with pytest.raises(AgentError) as caught:
        await anext(events)
    assert caught.value.code is Code.INTERNAL


async def test_an_exit_of_another_length_is_an_error(forged: ForgedGuest) -> None:
    link = await forged.open()
    stream, events = await started(forged, link)
    await forged.frame(stream, wire.EXITED, b"x")
    with pytest.raises(AgentError):
        await anext(events)


async def test_a_refusal_cannot_smuggle_codes_or_terminal_escapes(forged: ForgedGuest) -> None:
    link = await forged.open()
    for payload, code in (
        (b"NO_SUCH_FILE\0\x1b[2J\x07gone\xff" + b"x" * 10_000, Code.NO_SUCH_FILE),
        (b"UNAUTHENTICATED\0no", Code.INTERNAL),
        (b"\xff\xfe", Code.INTERNAL),
        (b"\x01" * wire.PAYLOAD_BYTES_MAX, Code.INTERNAL),
        (b"", Code.INTERNAL),
    ):
        reading = asyncio.ensure_future(link.read_file("/file"))
        stream, _, _ = await forged.heard()
        await forged.frame(stream, wire.FAILED, payload)
        with pytest.raises(AgentError) as caught:
            await reading
        assert caught.value.code is code
        assert caught.value.message.isprintable()
        assert len(caught.value.message) <= 500
        assert caught.value.detail.isprintable()
        assert len(caught.value.detail) <= 1000
    assert not link.is_lost


async def test_more_of_a_file_than_was_asked_for_is_an_error(forged: ForgedGuest) -> None:
    link = await forged.open()
    reading = asyncio.ensure_future(link.read_file("/file", limit_bytes=10))
    stream, _, _ = await forged.heard()
    await forged.frame(stream, wire.INFO, wire.FILE_INFO.pack(100, 0o644, 0))
    reader = await reading
    await forged.frame(stream, wire.CONTENT, bytes(11))
    with pytest.raises(AgentError):
        await anext(reader.content)


@pytest.mark.parametrize("answer", [wire.COUNT.pack(3), b"x" * wire.PAYLOAD_BYTES_MAX])
async def test_a_file_that_was_written_short_is_an_error(forged: ForgedGuest, answer: bytes) -> None:
    link = await forged.open()

    async def content() -> AsyncIterator[bytes]:
        yield b"four"

    writing = asyncio.ensure_future(link.write_file("/file", 0, content()))
    stream = 0
    kind = 0
    while kind != wire.END:
        stream, kind, _ = await forged.heard()
    await forged.frame(stream, wire.DONE, answer)
    with pytest.raises(AgentError) as caught:
        await writing
    assert caught.value.code is Code.INTERNAL
    assert len(caught.value.detail) <= 1000


async def test_a_guest_that_never_reads_is_given_up_before_it_costs_memory(
    forged: ForgedGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "STALL_SECONDS", 0.2)
    link = await forged.open()
    requests = 4 * WRITE_BUFFER_MAX // 2_000_000

    async def ask() -> None:
        for _ in range(requests):
            process = await asyncio.wait_for(link.exec(Command(("true", *["x" * 100_000] * 20))), 5)
            await process.close()

    with pytest.raises(AgentError) as caught:
        await ask()
    assert caught.value.code is Code.GUEST_UNRESPONSIVE


def _frames() -> st.SearchStrategy[bytes]:
    numbers = st.integers(0, 3) | st.integers(0, 0xFFFFFFFF)
    kinds = st.integers(wire.DONE, wire.CLOSED) | st.integers(0, 255)
    valid = st.builds(
        lambda stream, kind, payload: wire.HEADER.pack(len(payload), stream, kind) + payload,
        numbers,
        kinds,
        st.binary(max_size=40) | st.builds(wire.COUNT.pack, st.integers(0, (1 << 64) - 1)),
    )
    return valid | st.binary(max_size=40)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(_frames(), max_size=12), cuts=st.integers(1, 50))
def test_nothing_but_agent_errors_come_of_any_bytes(said: list[bytes], cuts: int) -> None:
    async def scene() -> None:
        forged = ForgedGuest()
        link = await forged.open()
        process = await link.exec(Command(("true",)))
        reading = asyncio.ensure_future(link.read_file("/file"))

        async def listen() -> None:
            async for _ in process:
                pass

        listening = asyncio.ensure_future(listen())
        data = b"".join(said)
        for start in range(0, len(data), cuts):
            await forged.say(data[start : start + cuts])
        forged.port.close()
        assert isinstance(await link.lost(), AgentError)
        for outcome in await asyncio.gather(listening, reading, return_exceptions=True):
            assert not isinstance(outcome, BaseException) or isinstance(outcome, AgentError)

    asyncio.run(scene())

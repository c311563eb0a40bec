"""The guest program alone, spoken to as a host does that keeps to nothing."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.guest import wire
from agent.images import initrd
from tests.agent.running_guest import RunningGuest, events, output, pass_time

# at most one tick of the clock that CPU time is counted in (0.01 s)
IDLE_CPU_SECONDS_MAX = 0.015


class Host:
    """Bytes to and from a guest."""

    def __init__(self, port: socket.socket) -> None:
        port.setblocking(False)
        self._port = port
        self._inbox = b""

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._port, data)

    async def frame(self, stream: int, kind: int, payload: bytes = b"") -> None:
        await self.say(wire.HEADER.pack(len(payload), stream, kind) + payload)

    async def hears(self, what: bytes) -> None:
        """Returns when it has come, and drops what came before it."""
        loop = asyncio.get_running_loop()
        while what not in self._inbox:
            self._inbox += await asyncio.wait_for(loop.sock_recv(self._port, 65536), 20)
        self._inbox = self._inbox.partition(what)[2]

    async def opens(self) -> None:
        preamble = wire.MAGIC + os.urandom(wire.NONCE_BYTES)
        await self.say(preamble)
        await self.hears(preamble)

    async def is_answered(self) -> None:
        await self.frame(999, wire.PING)
        await self.hears(wire.HEADER.pack(0, 999, wire.DONE))


@pytest_asyncio.fixture
async def host(guest: RunningGuest) -> AsyncIterator[Host]:
    with await guest.connect() as port:
        yield Host(port)


async def test_it_answers_the_nonce_that_it_was_sent(host: Host) -> None:
    await host.opens()
    await host.is_answered()


async def test_it_says_that_it_is_new(host: Host) -> None:
    await host.hears(wire.MAGIC + bytes(wire.NONCE_BYTES))


async def test_it_finds_a_preamble_in_pieces(host: Host) -> None:
    preamble = wire.MAGIC + os.urandom(wire.NONCE_BYTES)
    for number in range(len(preamble)):
        await host.say(preamble[number : number + 1])
    await host.hears(preamble)
    await host.is_answered()


async def test_it_finds_a_preamble_behind_anything(host: Host) -> None:
    await host.say(os.urandom(50_000) + wire.MAGIC[:-1])
    await host.opens()
    await host.is_answered()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (wire.EXEC, b""),
        (wire.EXEC, wire.COMMAND.pack(0, 0)),
        (wire.EXEC, wire.COMMAND.pack(0, 5)),
        (wire.READ, b"x"),
        (wire.READ, wire.READ_HEAD.pack(0, 0)),
        (wire.WRITE, wire.WRITE_HEAD.pack(0)),
        (wire.WRITE, wire.WRITE_HEAD.pack(0) + b"relative"),
        (wire.WRITE, wire.WRITE_HEAD.pack(0) + b"/a\0b"),
        (wire.READ, wire.READ_HEAD.pack(0, 0) + b"/a\0b"),
        (wire.IDENTIFY, b""),
        (wire.IDENTIFY, wire.IDENTITY.pack(0, 9)),
        (wire.RESIZE, b"x"),
    ],
)
async def test_a_malformed_request_is_refused_and_costs_nothing(host: Host, kind: int, body: bytes) -> None:
    await host.opens()
    await host.frame(5, kind, body)
    await host.hears(wire.HEADER.pack(0, 5, wire.FAILED)[4:])
    await host.is_answered()


@pytest.mark.parametrize("kind", [wire.RESIZE, wire.CLOCK])
async def test_the_disk_and_the_clock_of_somebodys_computer_are_left_alone(host: Host, kind: int) -> None:
    await host.opens()
    await host.frame(5, kind, wire.COUNT.pack(1))
    await host.hears(wire.HEADER.pack(0, 5, wire.FAILED)[4:])
    await host.hears(b"INVALID\0This runs on somebody")


async def test_frames_for_streams_that_are_over_are_ignored(host: Host) -> None:
    await host.opens()
    for kind in (wire.DATA, wire.END, wire.CREDIT, wire.CLOSE):
        await host.frame(5, kind, wire.COUNT.pack(1))
    await host.is_answered()


async def test_a_request_that_is_given_up_half_way_is_answered(host: Host) -> None:
    await host.opens()
    await host.frame(5, wire.PART, b"x" * 1000)
    await host.frame(5, wire.CLOSE)
    await host.hears(wire.HEADER.pack(0, 5, wire.CLOSED))
    await host.is_answered()


async def test_an_idle_guest_sleeps(guest: RunningGuest, host: Host) -> None:
    await host.opens()
    await host.is_answered()
    before = guest.cpu_seconds()
    await pass_time(0.25)
    assert guest.cpu_seconds() - before <= IDLE_CPU_SECONDS_MAX
    await host.is_answered()


async def test_a_guest_without_a_host_sleeps_and_wakes_up(guest: RunningGuest) -> None:
    for _ in range(3):
        link = await guest.link()
        assert output(await events(link, "echo", "fine")) == b"fine\n"
        await link.close()
    before = guest.cpu_seconds()
    await pass_time(0.25)
    assert guest.cpu_seconds() - before <= IDLE_CPU_SECONDS_MAX


async def test_commands_do_not_inherit_what_is_the_programs_own(host: Host, guest: RunningGuest) -> None:
    await host.opens()
    body = wire.COMMAND.pack(0, 3) + b"\0".join((b"/", b"sh", b"-c", b"ls -l /proc/self/fd | wc -l; trap; exit 0"))
    await host.frame(5, wire.EXEC, body)
    # three, the folder itself, and the line with the total
    await host.hears(wire.HEADER.pack(2, 5, wire.STDOUT) + b"5\n")


async def test_a_broken_pipe_ends_a_command(guest: RunningGuest) -> None:
    link = await guest.link()
    found = await events(link, "bash", "-c", "yes | head -n 1; echo ${PIPESTATUS[0]}")
    assert output(found) == b"y\n141\n"
    await link.close()


def test_it_is_made_of_the_standard_library_and_little_of_it(guest: RunningGuest) -> None:
    program = b"\n".join(initrd.guest_program().values())
    for module in (b"asyncio", b"subprocess", b"json", b"logging", b"enum", b"pathlib", b"threading", b"re"):
        assert b"\nimport " + module + b"\n" not in program
        assert b"\nfrom " + module + b" import" not in program


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.binary(max_size=60), max_size=8), kinds=st.lists(st.integers(0, 255), max_size=8))
def test_no_bytes_end_it(guest: RunningGuest, said: list[bytes], kinds: list[int]) -> None:
    harmless = [kind for kind in kinds if kind != wire.WRITE]

    async def scene() -> None:
        with await guest.connect() as port:
            host = Host(port)
            await host.opens()
            for payload, kind in zip(said, harmless, strict=False):
                await host.frame(kind % 3, kind, payload)
            for payload in said:
                await host.say(payload)
        link = await guest.link()
        await link.ping()
        await link.close()

    asyncio.run(scene())
    assert guest.process.poll() is None

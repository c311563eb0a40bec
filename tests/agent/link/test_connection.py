import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.drivers.driver import Command, Output, Started
from agent.errors import AgentError, Code
from agent.guest import wire
from agent.link.link import GuestLink, Identity
from tests.agent.running_guest import RunningGuest, events, gone, output
from tests.waiting import eventually

PUMP_BYTES = 4096  # as much as a guest's port gives at once


class Cable:
    """Stands for QEMU where it does not tell the guest that the host has gone: one connection to the guest, and host
    ends that come and go."""

    def __init__(self, guest_end: socket.socket) -> None:
        guest_end.setblocking(False)
        self.guest_end = guest_end
        self._pumps: list[asyncio.Task[None]] = []

    async def plug(self) -> socket.socket:
        await self.unplug()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._pumps = [
            asyncio.ensure_future(self._pump(ours, self.guest_end)),
            asyncio.ensure_future(self._pump(self.guest_end, ours)),
        ]
        self._ours = ours
        return theirs

    async def unplug(self) -> None:
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._pumps:
            self._ours.close()
        self._pumps = []

    @staticmethod
    async def _pump(source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, PUMP_BYTES):
            await loop.sock_sendall(target, data)


@pytest_asyncio.fixture
async def cable(guest: RunningGuest) -> AsyncIterator[Cable]:
    with await guest.connect() as guest_end:
        plugged = Cable(guest_end)
        yield plugged
        await plugged.unplug()


def identity(**more: object) -> Identity:
    fields: dict[str, object] = {
        "sandbox_id": "sb-1",
        "hostname": "box",
        "machine_id": "0" * 32,
        "environment": {"GREETING": "hello", "LINES": "a\nb"},
        "entropy": b"\0" * 64,
        "unix_ns": time.time_ns(),
    }
    return Identity(**{**fields, **more})  # type: ignore[arg-type]


async def test_an_identity_is_applied(link: GuestLink, guest: RunningGuest) -> None:
    await link.identify(identity())
    await link.identify(identity())
    folder = guest.root / "run/identity"
    assert (folder / "hostname").read_text() == "box\n"
    assert (folder / "machine-id").read_text() == "0" * 32 + "\n"
    assert "127.0.1.1 box\n" in (folder / "hosts").read_text()
    assert (folder / "environment").read_text() == "GREETING=hello\nNESTBOX_SANDBOX_ID=sb-1\n"
    shown = output(await events(link, "env"))
    assert b"GREETING=hello\n" in shown
    assert b"NESTBOX_SANDBOX_ID=sb-1\n" in shown
    assert b"LINES=a\nb\n" in shown


async def test_a_later_identity_replaces_an_earlier_one(link: GuestLink) -> None:
    await link.identify(identity())
    await link.identify(identity(environment={}, sandbox_id="sb-2"))
    shown = output(await events(link, "env"))
    assert b"GREETING" not in shown
    assert b"NESTBOX_SANDBOX_ID=sb-2\n" in shown


async def test_a_guest_program_that_was_restarted_is_noticed_and_remembers(guest: RunningGuest) -> None:
    link = await guest.link()
    await link.identify(identity())
    guest.restart()
    assert (await link.lost()).code is Code.MACHINE_GONE
    again = await guest.link()
    assert b"GREETING=hello\n" in output(await events(again, "env"))
    await again.close()


async def test_commands_outlive_the_connection_and_see_the_end_of_their_input(
    guest: RunningGuest, tmp_path: Path
) -> None:
    link = await guest.link()
    mark = tmp_path / "mark"
    process = await link.exec(Command(("sh", "-c", f"cat; head -c 1000000 /dev/zero; echo over > {mark}")))
    assert isinstance(await anext(process), Started)
    await link.close()
    with pytest.raises(AgentError) as caught:
        await anext(process)
    assert caught.value.code is Code.MACHINE_GONE
    await eventually(mark.exists)
    again = await guest.link()
    await again.ping()
    await again.close()


async def test_a_connection_can_be_replaced_in_the_middle_of_everything(cable: Cable) -> None:
    pids = []
    for _ in range(5):
        link = await GuestLink.open(await cable.plug(), deadline_seconds=20)
        process = await link.exec(Command(("cat", "/dev/zero")))
        started = await anext(process)
        assert isinstance(started, Started)
        pids.append(started.pid)
        await anext(process)
        assert output(await events(link, "echo", "fine")) == b"fine\n"
    await cable.unplug()
    for pid in pids:
        os.kill(pid, 9)
        await eventually(lambda pid=pid: gone(pid))


@pytest.mark.parametrize("missing", [1, 100, wire.PAYLOAD_BYTES_MAX])
async def test_a_guest_that_waits_for_the_rest_of_a_frame_is_found_again(cable: Cable, missing: int) -> None:
    link = await GuestLink.open(await cable.plug(), deadline_seconds=20)
    await link.ping()
    await cable.unplug()
    frame = wire.HEADER.pack(wire.PAYLOAD_BYTES_MAX, 7, wire.PART) + bytes(wire.PAYLOAD_BYTES_MAX - missing)
    await asyncio.get_running_loop().sock_sendall(cable.guest_end, frame)
    again = await GuestLink.open(await cable.plug(), deadline_seconds=20)
    assert output(await events(again, "echo", "fine")) == b"fine\n"
    await cable.unplug()


@pytest.mark.parametrize("length", range(1, wire.HEADER.size))
async def test_a_guest_that_waits_for_the_rest_of_a_header_is_found_again(cable: Cable, length: int) -> None:
    link = await GuestLink.open(await cable.plug(), deadline_seconds=20)
    await cable.unplug()
    frame = wire.HEADER.pack(5, 7, wire.PING)
    await asyncio.get_running_loop().sock_sendall(cable.guest_end, frame[:length])
    again = await GuestLink.open(await cable.plug(), deadline_seconds=20)
    assert output(await events(again, "echo", "fine")) == b"fine\n"
    await link.close()
    await cable.unplug()


async def test_bytes_of_an_earlier_connection_are_discarded(cable: Cable) -> None:
    theirs = await cable.plug()
    stale = wire.MAGIC + bytes(wire.NONCE_BYTES) + os.urandom(100_000) + wire.MAGIC
    await asyncio.get_running_loop().sock_sendall(cable._ours, stale)
    link = await GuestLink.open(theirs, deadline_seconds=20)
    await link.ping()
    await cable.unplug()


async def test_a_peer_that_says_nothing_is_given_up_at_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, pytest.raises(AgentError) as caught:
        await GuestLink.open(theirs, deadline_seconds=0.1)
    assert caught.value.code is Code.GUEST_UNRESPONSIVE


async def test_a_peer_that_hangs_up_is_gone() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with pytest.raises(AgentError) as caught:
        await GuestLink.open(theirs, deadline_seconds=20)
    assert caught.value.code is Code.MACHINE_GONE


async def test_all_that_is_under_way_fails_at_once_when_the_machine_goes(guest: RunningGuest) -> None:
    link = await guest.link()
    processes = [await link.exec(Command(("sleep", "1000"))) for _ in range(3)]
    for process in processes:
        assert isinstance(await anext(process), Started)
    waiting = [asyncio.ensure_future(anext(process)) for process in processes]
    guest.stop()
    for future in waiting:
        with pytest.raises(AgentError) as caught:
            await asyncio.wait_for(asyncio.shield(future), 5)
        assert caught.value.code is Code.MACHINE_GONE
    assert link.is_lost
    with pytest.raises(AgentError):
        await link.ping()
    with pytest.raises(AgentError):
        await link.exec(Command(("true",)))


async def test_a_guest_that_hangs_is_told_by_ping(guest: RunningGuest) -> None:
    link = await guest.link()
    os.kill(guest.process.pid, 19)
    try:
        with pytest.raises(AgentError) as caught:
            await link.ping(0.1)
        assert caught.value.code is Code.GUEST_UNRESPONSIVE
    finally:
        os.kill(guest.process.pid, 18)
    await link.ping()
    await link.close()


async def test_a_quiesced_link_holds_everything_back_until_it_is_released(link: GuestLink) -> None:
    process = await link.exec(Command(("cat",)))
    assert isinstance(await anext(process), Started)
    await link.quiesce()
    pinging = asyncio.ensure_future(link.ping())
    writing = asyncio.ensure_future(process.write(b"held"))
    assert link._channel._unsent_bytes() == 0
    done, _ = await asyncio.wait([pinging, writing], timeout=0.1)
    assert done == set()
    link.release()
    await pinging
    await writing
    event = await anext(process)
    assert isinstance(event, Output)
    assert event.data == b"held"
    await process.close()


async def test_quiescing_does_not_wait_for_a_guest_that_hangs(guest: RunningGuest) -> None:
    link = await guest.link()
    os.kill(guest.process.pid, 19)
    try:
        process = await link.exec(Command(("x" * 100_000,)))
        began = time.monotonic()
        await link.quiesce(0.1)
        assert time.monotonic() - began < 5
    finally:
        os.kill(guest.process.pid, 18)
    link.release()
    with pytest.raises(AgentError):
        await anext(process)
    await link.close()


async def test_waiting_requests_fail_when_a_quiesced_link_is_closed(link: GuestLink) -> None:
    await link.quiesce()
    pinging = asyncio.ensure_future(link.ping())
    done, _ = await asyncio.wait([pinging], timeout=0.05)
    assert done == set()
    await link.close()
    with pytest.raises(AgentError) as caught:
        await pinging
    assert caught.value.code is Code.MACHINE_GONE

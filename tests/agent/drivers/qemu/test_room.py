"""Who lets a machine go on that stands still for want of room, and when: with a QEMU that says what a test wants."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pytest
import pytest_asyncio

from agent.drivers.qemu import room as subject
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.monitor import Monitor, MonitorError
from agent.drivers.qemu.room import STANDS, Room
from agent.drivers.qemu.tasks import Tasks
from agent.errors import AgentError, Code
from agent.machine import Spec
from tests.agent.drivers.qemu.kept_files import KeptFiles
from tests.agent.drivers.qemu.laboratory import new_spec
from tests.waiting import eventually


class Qemu(Monitor):
    """Its guest stands until there is room. Stops before it answers for as long as `answering` is not set."""

    def __init__(self) -> None:
        super().__init__("test")
        self.has_room = False
        self.is_silent = False
        self.asked = self.told = 0
        self.now = STANDS
        self.answering = asyncio.Event()
        self.answering.set()
        self.at_no_room = lambda: None

    async def run(self, command: str, /, **_: Any) -> Any:
        if command == "query-status":
            self.asked += 1
            now = self.now
            await self.answering.wait()
            if self.is_silent:
                raise MonitorError("query-status: no answer")
            return {"status": now}
        assert command == "cont"
        self.told += 1
        if self.has_room:
            self.now = "running"
        else:
            self.at_no_room()
        return {}


@pytest_asyncio.fixture
async def qemu() -> AsyncIterator[Qemu]:
    yield Qemu()


@pytest_asyncio.fixture
async def room(qemu: Qemu, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    """Of a guest that was just stopped."""
    monkeypatch.setattr(subject, "RETRY_SECONDS", 0.001)
    tasks, made = Tasks(), Room(qemu, "test")
    qemu.at_no_room = lambda: made.is_short(tasks)
    qemu.at_no_room()
    yield made
    await tasks.close()


async def more(qemu: Qemu) -> None:
    """It is asked twice more, so what came of the first is done."""
    until = qemu.asked + 2
    await eventually(lambda: qemu.asked >= until)


async def test_it_is_tried_until_there_is_room_and_then_told_once(qemu: Qemu, room: Room) -> None:
    ended: list[int] = []

    async def at_end() -> None:
        ended.append(qemu.told)

    room.at_end = at_end
    await eventually(lambda: qemu.told > 3)
    assert room.is_awaited
    with pytest.raises(AgentError) as refused:
        room.require()
    assert refused.value.code is Code.DISK_FULL
    qemu.has_room = True
    await eventually(lambda: bool(ended))
    assert not room.is_awaited
    room.require()
    assert ended == [qemu.told]
    # and again when it is short again
    qemu.now = STANDS
    qemu.at_no_room()
    assert room.is_awaited
    await eventually(lambda: len(ended) == 2)


async def test_whoever_has_stopped_the_machine_is_not_disturbed(qemu: Qemu, room: Room) -> None:
    room.is_held = True
    qemu.has_room = True
    told = qemu.told
    await more(qemu)
    assert qemu.told == told
    assert room.is_awaited
    room.is_held = False
    await eventually(lambda: not room.is_awaited)


async def test_one_that_somebody_has_stopped_is_told_who_it_is_when_it_goes_on(qemu: Qemu, room: Room) -> None:
    """And as what it is then: one from the pool is another by that time."""
    told: list[str] = []

    async def at_end(who: str) -> None:
        told.append(who)

    room.at_end = partial(at_end, "the pool's")
    room.is_held = True
    qemu.now = "paused"
    await eventually(lambda: not room.is_awaited)
    await more(qemu)
    assert told == []
    room.at_end = partial(at_end, "the sandbox's")
    qemu.now, room.is_held = "running", False
    await eventually(lambda: told == ["the sandbox's"])


@dataclass
class Silent:
    """A machine that was resumed and does not answer."""

    waits_for_room: bool

    async def identify(self, spec: Spec, deadline_seconds: float) -> None:
        del spec, deadline_seconds
        raise AgentError(Code.GUEST_UNRESPONSIVE, "It does not answer.")


async def test_one_that_is_resumed_and_finds_no_room_is_kept(files: KeptFiles) -> None:
    """It has written already, so what was saved of it fits its disk no longer."""
    await files.cloner._greet(new_spec(), cast("QemuMachine", Silent(waits_for_room=True)))
    with pytest.raises(AgentError) as refused:
        await files.cloner._greet(new_spec(), cast("QemuMachine", Silent(waits_for_room=False)))
    assert refused.value.code is Code.GUEST_UNRESPONSIVE


async def test_one_that_is_stopped_again_while_it_is_asked_is_not_forgotten(qemu: Qemu, room: Room) -> None:
    qemu.answering.clear()
    qemu.now = "running"
    asked = qemu.asked
    await eventually(lambda: qemu.asked > asked)
    # the answer on its way is that it runs
    qemu.now = STANDS
    qemu.at_no_room()
    qemu.answering.set()
    await more(qemu)
    assert room.is_awaited
    assert qemu.told


async def test_a_qemu_that_does_not_answer_is_not_said_to_wait(qemu: Qemu, room: Room) -> None:
    qemu.is_silent = True
    await eventually(lambda: not room.is_awaited)
    await more(qemu)
    assert not room.is_awaited
    qemu.is_silent = False
    await eventually(lambda: room.is_awaited)


async def test_what_is_gone_is_tried_no_more(qemu: Qemu, room: Room) -> None:
    qemu.lost()
    await eventually(lambda: not room.is_awaited)
    asked = qemu.asked
    qemu.at_no_room()
    assert qemu.asked == asked
    assert not room._is_tried

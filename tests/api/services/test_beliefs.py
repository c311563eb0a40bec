"""What is believed of callers, and how little those who made themselves up cost others."""

import asyncio
from uuid import UUID

import pytest

from api.errors import Unavailable
from api.ids import new_id
from api.services import beliefs
from api.services.beliefs import STRANGERS_AT_ONCE, Beliefs
from tests.api.running import SettableClock
from tests.waiting import eventually


class Store:
    """Things by their id; looking up waits while it is closed."""

    def __init__(self) -> None:
        self.things: dict[UUID, str] = {}
        self.looking_up = 0
        self.open = asyncio.Event()
        self.open.set()

    async def look_up(self, thing_id: UUID) -> str | None:
        self.looking_up += 1
        try:
            await self.open.wait()
            return self.things.get(thing_id)
        finally:
            self.looking_up -= 1


async def test_those_whom_nobody_knows_are_looked_up_a_few_at_a_time_and_others_at_once() -> None:
    store, known = Store(), [new_id() for _ in range(20)]
    believed: Beliefs[str] = Beliefs(SettableClock(), store.look_up)
    store.things = dict.fromkeys(known, "somebody")
    for thing_id in known:
        await believed.get(thing_id)
    # also when all of them have to be looked up again
    believed.forget()
    store.open.clear()
    async with asyncio.TaskGroup() as group:
        strangers = [group.create_task(believed.get(new_id())) for _ in range(50)]
        await eventually(lambda: store.looking_up == STRANGERS_AT_ONCE)
        again = [group.create_task(believed.get(thing_id)) for thing_id in known]
        await eventually(lambda: store.looking_up == STRANGERS_AT_ONCE + len(known))
        store.open.set()
    assert {task.result() for task in again} == {"somebody"}
    assert {task.result() for task in strangers} == {None}


async def test_who_waits_too_long_among_strangers_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beliefs, "STRANGER_WAIT_SECONDS", 0.05)
    store = Store()
    believed: Beliefs[str] = Beliefs(SettableClock(), store.look_up)
    store.open.clear()
    async with asyncio.TaskGroup() as group:
        first = [group.create_task(believed.get(new_id())) for _ in range(STRANGERS_AT_ONCE)]
        await eventually(lambda: store.looking_up == STRANGERS_AT_ONCE)
        with pytest.raises(Unavailable):
            await believed.get(new_id())
        # who was let in before is not held up, though nothing is believed of them any more
        again = group.create_task(believed.get(new_id(), is_known=True))
        await eventually(lambda: store.looking_up == STRANGERS_AT_ONCE + 1)
        store.open.set()
    assert again.result() is None
    assert [task.result() for task in first] == [None] * STRANGERS_AT_ONCE
    assert await believed.get(new_id()) is None


async def test_what_was_read_before_something_was_forgotten_is_not_believed() -> None:
    store, thing_id = Store(), new_id()
    believed: Beliefs[str] = Beliefs(SettableClock(), store.look_up)
    store.things[thing_id] = "an admin"
    store.open.clear()
    async with asyncio.TaskGroup() as group:
        before = group.create_task(believed.get(thing_id))
        await eventually(lambda: store.looking_up == 1)
        believed.forget()
        store.open.set()
    assert before.result() == "an admin"
    store.things[thing_id] = "a member"
    assert await believed.get(thing_id) == "a member"

import asyncio
from collections.abc import AsyncIterator

import pytest

from nestbox.demo.client import Json
from nestbox.demo.watch import REMOVED, Watch


def _changed(state: str) -> Json:
    return {"__typename": "SandboxChanged", "sandbox": {"id": "sb-1", "state": state}}


async def _events(*events: Json) -> AsyncIterator[Json]:
    for event in events:
        yield event


async def test_a_watch_remembers_states_in_order() -> None:
    watch = Watch()
    removed = {"__typename": "SandboxRemoved", "id": "sb-1", "reason": "DELETED"}

    await watch.follow(_events(_changed("STARTING"), {"__typename": "Heartbeat"}, _changed("RUNNING"), removed))

    assert [seen.state for seen in watch.seen] == ["STARTING", "RUNNING", REMOVED]


async def test_whoever_waits_is_woken_by_the_message_itself() -> None:
    watch, queue = Watch(), asyncio.Queue[Json]()

    async def feed() -> AsyncIterator[Json]:
        while True:
            yield await queue.get()

    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(watch.follow(feed()))
        waiting = tasks.create_task(watch.until("RUNNING", deadline_seconds=10))
        await queue.put(_changed("STARTING"))
        await queue.put(_changed("RUNNING"))
        assert (await waiting).state == "RUNNING"
        following.cancel()


async def test_states_from_before_the_mark_do_not_count() -> None:
    watch = Watch()
    await watch.follow(_events(_changed("RUNNING")))

    with pytest.raises(TimeoutError):
        await watch.until("RUNNING", since=1, deadline_seconds=0.01)

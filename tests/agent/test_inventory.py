from datetime import timedelta

import pytest

from agent.errors import AgentError, Code
from agent.inventory import WATCH_QUEUE_MAX, WATCHERS_MAX, Inventory
from agent.machine import State
from tests.agent.test_ledger import NOW, a_machine


async def test_a_watch_begins_with_everything_and_misses_nothing_after() -> None:
    inventory = Inventory()
    first, second = a_machine(sequence=1), a_machine(sequence=2)
    inventory.publish(first)
    with inventory.watch() as watch:
        inventory.publish(second)
        inventory.end_watches()
        assert watch.snapshot.machines == (first,)
        assert watch.snapshot.sequence == 1
        assert [machine async for machine in watch.changes()] == [second]


async def test_a_watcher_that_does_not_read_is_ended_and_told_so() -> None:
    inventory = Inventory()
    machine = a_machine()
    with inventory.watch() as watch:
        for _ in range(WATCH_QUEUE_MAX + 10):
            inventory.publish(machine)
        inventory.end_watches()
        with pytest.raises(AgentError, match="start over") as refusal:
            _ = [change async for change in watch.changes()]
    assert refusal.value.code is Code.BUSY


async def test_one_slow_watcher_does_not_hurt_another() -> None:
    inventory = Inventory()
    with inventory.watch(), inventory.watch() as quick:
        changes = quick.changes()
        for sequence in range(WATCH_QUEUE_MAX + 10):
            inventory.publish(a_machine(sequence=sequence))
            assert (await anext(changes)).sequence == sequence


async def test_watchers_are_limited() -> None:
    inventory = Inventory()
    watches = [inventory.watch() for _ in range(WATCHERS_MAX)]
    for watch in watches:
        watch.__enter__()
    with pytest.raises(AgentError), inventory.watch():
        pass
    watches[0].__exit__(None, None, None)
    with inventory.watch():
        pass


async def test_activity_is_seen_but_is_no_change_and_never_goes_back() -> None:
    inventory = Inventory()
    machine = a_machine(sequence=1)
    inventory.publish(machine)
    later = NOW + timedelta(seconds=5)
    inventory.touch(machine.sandbox_id, later)
    inventory.touch(machine.sandbox_id, NOW)
    inventory.publish(machine)
    (seen,) = inventory.snapshot().machines
    assert seen.last_active_at == later
    assert inventory.take_touched() == {machine.sandbox_id: later}
    assert inventory.take_touched() == {}


async def test_only_what_was_deleted_long_ago_leaves_the_inventory() -> None:
    inventory = Inventory()
    deleted, fresh, paused = (a_machine(state=state) for state in (State.DELETED, State.DELETED, State.PAUSED))
    inventory.load([deleted, fresh, paused])
    inventory.publish(a_machine(spec=fresh.spec, state=State.DELETED, changed_at=NOW + timedelta(hours=1)))
    inventory.forget_deleted(NOW + timedelta(minutes=30), failed_before=NOW)
    assert {machine.sandbox_id for machine in inventory.snapshot().machines} == {fresh.sandbox_id, paused.sandbox_id}

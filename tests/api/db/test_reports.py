"""The guards of what hosts report."""

from dataclasses import replace
from itertools import product
from uuid import UUID

from api.db import reports
from api.db.reports import Answer, Applied, Missing, Observed, Stale
from api.domain.machine import WAITS_FOR_ROOM, Machine
from api.domain.sandbox import MOVES, TRANSITIONAL, Cause, Move, Owner, State
from api.ids import new_id
from tests.api.db.conftest import Store
from tests.api.records import NOW


def _machine(sandbox_id: UUID, state: State, **changes: object) -> Machine:
    machine = Machine(
        sandbox_id=sandbox_id,
        incarnation=new_id(),
        generation=2,
        state=state,
        sequence=11,
        cause=Cause.CRASHED,
        detail="It says so.",
        changed_at=NOW,
        last_active_at=NOW,
    )
    return replace(machine, **changes)  # type: ignore[arg-type]


async def _apply(store: Store, machine: Machine) -> Answer:
    return await reports.apply(store.database, store.host_id, machine, NOW, None)


async def test_every_move_of_a_host_is_applied_and_no_other(store: Store) -> None:
    for source, target in product(State, State):
        sandbox_id = await store.sandbox(source)
        before = await store.row(sandbox_id)
        causes = MOVES.get(Move(source, target, Owner.HOST), frozenset())
        cause = min(causes, default=Cause.CRASHED)
        answer = await _apply(store, _machine(sandbox_id, target, cause=cause))
        row = await store.row(sandbox_id)
        if causes:
            assert isinstance(answer, Applied), (source, target)
            assert (row["state"], row["cause"], row["sequence"]) == (target, cause, 11)
            assert row["version"] == before["version"] + 1
            assert await store.events(sandbox_id) == 1
        else:
            assert isinstance(answer, Stale), (source, target)
            assert row == before
            assert await store.events(sandbox_id) == 0


async def test_a_move_is_not_made_for_a_cause_that_it_cannot_have(store: Store) -> None:
    for move, causes in MOVES.items():
        for cause in set(Cause) - causes if move.owner is Owner.HOST else ():
            sandbox_id = await store.sandbox(move.source)
            assert isinstance(await _apply(store, _machine(sandbox_id, move.target, cause=cause)), Stale), (move, cause)


async def test_an_idle_pause_from_before_a_newer_command_changes_nothing(store: Store) -> None:
    for source, target in product((State.RUNNING, State.PAUSING), (State.PAUSING, State.PAUSED)):
        sandbox_id = await store.sandbox(source)
        late = _machine(sandbox_id, target, generation=1, cause=Cause.IDLE_TIMEOUT)
        assert isinstance(await _apply(store, late), Stale)
        assert (await store.row(sandbox_id))["state"] == source


async def test_a_stale_report_changes_nothing(store: Store) -> None:
    sandbox_id = await store.sandbox(State.RUNNING)
    before = await store.row(sandbox_id)
    for sequence in (9, 10):
        assert isinstance(await _apply(store, _machine(sandbox_id, State.STOPPED, sequence=sequence)), Stale)
    assert await store.row(sandbox_id) == before


async def test_a_report_from_before_the_command_changes_nothing(store: Store) -> None:
    for state in TRANSITIONAL:
        sandbox_id = await store.sandbox(state)
        before = await store.row(sandbox_id)
        for target in State:
            assert isinstance(await _apply(store, _machine(sandbox_id, target, generation=1)), Stale)
        assert await store.row(sandbox_id) == before


async def test_a_report_of_another_host_changes_nothing(store: Store) -> None:
    sandbox_id = await store.sandbox(State.RUNNING)
    answer = await reports.apply(store.database, new_id(), _machine(sandbox_id, State.STOPPED), NOW, None)
    assert isinstance(answer, Stale)


async def test_what_is_not_there_is_missing(store: Store) -> None:
    assert isinstance(await _apply(store, _machine(new_id(), State.STOPPED)), Missing)
    # where no move of a host leads, nothing is looked up
    assert isinstance(await _apply(store, _machine(new_id(), State.STARTING)), Stale)


async def test_a_pause_that_the_host_began_becomes_a_command_of_the_system(store: Store) -> None:
    for source in (State.RUNNING, State.PAUSING):
        sandbox_id = await store.sandbox(source)
        machine = _machine(sandbox_id, State.PAUSED, cause=Cause.IDLE_TIMEOUT)
        assert isinstance(await _apply(store, machine), Applied)
        row = await store.row(sandbox_id)
        assert (row["goal"], row["generation"], row["cause"]) == ("paused", 3, "idle_timeout")
        assert isinstance(await _apply(store, machine), Stale)


async def test_a_pause_that_the_user_wanted_keeps_its_generation(store: Store) -> None:
    sandbox_id = await store.sandbox(State.PAUSING, goal="paused")
    assert isinstance(await _apply(store, _machine(sandbox_id, State.PAUSED, cause=Cause.USER)), Applied)
    row = await store.row(sandbox_id)
    assert (row["goal"], row["generation"]) == ("paused", 2)


async def test_what_could_not_be_done_is_no_longer_wanted(store: Store) -> None:
    for source, goal, target in ((State.PAUSING, "paused", State.RUNNING), (State.RESUMING, "running", State.PAUSED)):
        sandbox_id = await store.sandbox(source, goal=goal)
        assert isinstance(await _apply(store, _machine(sandbox_id, target, cause=Cause.USER)), Applied)
        row = await store.row(sandbox_id)
        assert (row["goal"], row["generation"]) == (target, 2)


async def test_a_conclusion_from_old_sight_changes_nothing(store: Store) -> None:
    sandbox_id = await store.sandbox(State.RUNNING)
    version = (await store.row(sandbox_id))["version"]
    for seen in ((sandbox_id, State.RUNNING, version - 1), (sandbox_id, State.PAUSED, version)):
        answer = await reports.conclude(store.database, seen, State.STOPPED, Cause.ORPHANED, "", NOW)
        assert isinstance(answer, Stale)
    seen = (sandbox_id, State.RUNNING, version)
    assert isinstance(await reports.conclude(store.database, seen, State.STOPPED, Cause.ORPHANED, "", NOW), Applied)
    row = await store.row(sandbox_id)
    assert (row["state"], row["cause"]) == ("stopped", "orphaned")


async def test_observing_keeps_sequences_without_an_event(store: Store) -> None:
    sandbox_id = await store.sandbox(State.RUNNING)
    machines = [_machine(sandbox_id, State.RUNNING), _machine(new_id(), State.RUNNING)]
    assert await reports.observe(store.database, store.host_id, machines, NOW) == Observed(1, 0)
    row = await store.row(sandbox_id)
    assert (row["sequence"], row["last_active_at"], row["version"]) == (11, NOW, 1)
    assert await store.events(sandbox_id) == 0


async def test_what_a_sandbox_takes_is_kept_without_an_event(store: Store) -> None:
    sandbox_id = await store.sandbox(State.RUNNING, sequence=11)
    machine = _machine(sandbox_id, State.RUNNING, last_active_at=None, stored_bytes=4096)
    assert await reports.observe(store.database, store.host_id, [machine], NOW) == Observed(1, 0)
    assert await reports.observe(store.database, store.host_id, [machine], NOW) == Observed(0, 0)
    late = replace(machine, sequence=10, stored_bytes=1)
    assert await reports.observe(store.database, store.host_id, [late], NOW) == Observed(0, 0)
    assert (await store.row(sandbox_id))["stored_bytes"] == 4096
    assert await store.events(sandbox_id) == 0


async def test_whether_it_waits_for_room_is_live_though_its_host_can_write_no_sequence(store: Store) -> None:
    sandbox_id = await store.sandbox(State.RUNNING, sequence=11)
    await store.raw.execute("UPDATE sandboxes SET detail = 'It was refused.' WHERE id = $1", sandbox_id)
    machine = _machine(sandbox_id, State.RUNNING, last_active_at=None)
    waits = replace(machine, waits_for_room=True)
    for told, observed, detail in (
        (machine, Observed(0, 0), "It was refused."),
        (replace(waits, sequence=10), Observed(0, 0), "It was refused."),
        (waits, Observed(1, 1), WAITS_FOR_ROOM),
        (waits, Observed(0, 0), WAITS_FOR_ROOM),
        (replace(machine, sequence=10), Observed(0, 0), WAITS_FOR_ROOM),
        (machine, Observed(1, 1), ""),
        (machine, Observed(0, 0), ""),
    ):
        assert await reports.observe(store.database, store.host_id, [told], NOW) == observed
        assert (await store.row(sandbox_id))["detail"] == detail
    assert (await store.row(sandbox_id))["version"] == 3
    assert await store.events(sandbox_id) == 2


async def test_the_time_of_the_next_idle_pause_is_live(store: Store) -> None:
    sandbox_id = await store.sandbox(State.RUNNING)
    machine = _machine(sandbox_id, State.RUNNING, auto_pause_at=NOW)
    assert await reports.observe(store.database, store.host_id, [machine], NOW) == Observed(1, 1)
    row = await store.row(sandbox_id)
    assert (row["auto_pause_at"], row["version"]) == (NOW, 2)
    assert await store.events(sandbox_id) == 1
    assert await reports.observe(store.database, store.host_id, [machine], NOW) == Observed(0, 0)
    stopped = _machine(sandbox_id, State.STOPPED, sequence=12)
    assert isinstance(await _apply(store, stopped), Applied)
    assert (await store.row(sandbox_id))["auto_pause_at"] is None

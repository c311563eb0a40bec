"""What is made of the difference between rows and a host's inventory."""

from dataclasses import replace
from itertools import product
from uuid import UUID

import pytest

from api.domain.machine import WAITS_FOR_ROOM, Inventory, Machine
from api.domain.sandbox import MOVES, TRANSITIONAL, Cause, Goal, Move, Owner, State, deadline_of
from api.ids import Kind, new_id, wire_id
from api.reconciler.plan import LOST_AFTER_SECONDS, RESEND_AFTER_SECONDS, Plan, Row, plan
from api.reconciler.strays import STRAY_AFTER_SECONDS, STRAYS_MAX, Claims, Stray, Written
from tests.api.records import NOW

ID, HOST, CLUSTER = new_id(), new_id(), new_id()
HOUR = 3600.0


def _row(state: State, **changes: object) -> Row:
    row = Row(
        id=ID,
        state=state,
        generation=2,
        sequence=10,
        version=3,
        updated_at=NOW,
        last_active_at=None,
    )
    return row._replace(**changes)  # type: ignore[arg-type]


def _machine(state: State, **changes: object) -> Machine:
    machine = Machine(
        sandbox_id=ID,
        incarnation=None,
        generation=2,
        state=state,
        sequence=11,
        cause=Cause.USER,
        detail="",
        changed_at=None,
        last_active_at=None,
    )
    return replace(machine, **changes)  # type: ignore[arg-type]


def _plan(
    row: Row, *machines: Machine, age: float = HOUR, under_way: frozenset[UUID] = frozenset(), **changes: object
) -> Plan:
    inventory = replace(Inventory(machines, 20, "agent"), **changes)  # type: ignore[arg-type]
    return plan([row], inventory, {row.id: age}, under_way, Claims(HOST, CLUSTER, {}))


@pytest.mark.parametrize(("source", "target"), list(product(State, State)))
def test_a_newer_report_moves_a_sandbox_exactly_where_a_host_may(source: State, target: State) -> None:
    for cause in Cause:
        planned = _plan(_row(source), _machine(target, cause=cause))
        assert bool(planned.apply) == (cause in MOVES.get(Move(source, target, Owner.HOST), ()))


@pytest.mark.parametrize(("source", "target"), [(m.source, m.target) for m in MOVES if m.target is not State.DELETED])
def test_an_older_report_moves_nothing(source: State, target: State) -> None:
    assert not _plan(_row(source), _machine(target, sequence=10)).apply


@pytest.mark.parametrize("state", sorted(TRANSITIONAL))
def test_what_was_reported_before_the_host_heard_of_the_command_says_nothing(state: State) -> None:
    for target in State:
        assert not _plan(_row(state), _machine(target, generation=1)).apply


def test_an_idle_pause_of_the_host_is_taken_over() -> None:
    machine = _machine(State.PAUSED, cause=Cause.IDLE_TIMEOUT)
    assert _plan(_row(State.RUNNING), machine).apply == (machine,)


def test_what_runs_here_and_is_unknown_there_is_lost_after_a_grace() -> None:
    row = _row(State.RUNNING)
    assert _plan(row).lost == (row,)
    assert _plan(row, age=LOST_AFTER_SECONDS - 1) == Plan()


@pytest.mark.parametrize("state", sorted(set(State) - TRANSITIONAL - {State.RUNNING}))
def test_nothing_else_is_concluded_from_a_missing_machine(state: State) -> None:
    assert _plan(_row(state)) == Plan()


def test_what_cannot_be_read_is_not_missing() -> None:
    row = _row(State.RUNNING)
    assert _plan(row, unreadable=frozenset({wire_id(Kind.SANDBOX, ID)})) == Plan()


@pytest.mark.parametrize("state", sorted(TRANSITIONAL))
def test_a_command_that_the_host_never_heard_of_is_sent_again(state: State) -> None:
    row = _row(state, goal=Goal.PAUSED)
    assert _plan(row).resend == (ID,)
    assert _plan(row, _machine(State.RUNNING, generation=1)).resend == (ID,)
    assert not _plan(row, age=RESEND_AFTER_SECONDS - 1).resend
    assert not _plan(row, under_way=frozenset({ID})).resend


def test_a_command_that_the_host_is_at_is_left_alone_until_its_deadline() -> None:
    row, deadline_seconds = _row(State.PAUSING), deadline_of(State.PAUSING)
    assert deadline_seconds is not None
    assert not _plan(row, _machine(State.PAUSING), age=deadline_seconds - 1).resend
    assert _plan(row, _machine(State.PAUSING), age=deadline_seconds).resend == (ID,)


def test_a_delete_that_its_host_could_not_finish_is_sent_again_soon() -> None:
    assert _plan(_row(State.DELETING), _machine(State.DELETING)).resend == (ID,)
    assert not _plan(_row(State.DELETING), _machine(State.DELETING), age=RESEND_AFTER_SECONDS - 1).resend


def test_the_same_state_is_only_noted() -> None:
    machine = _machine(State.RUNNING)
    assert _plan(_row(State.RUNNING), machine) == Plan(observe=(machine,))
    assert _plan(_row(State.RUNNING, sequence=11), machine) == Plan()
    larger = _machine(State.RUNNING, stored_bytes=1)
    assert _plan(_row(State.RUNNING, sequence=11), larger) == Plan(observe=(larger,))


def test_that_it_waits_for_room_is_news_once_and_so_is_its_end() -> None:
    row, machine = _row(State.RUNNING, sequence=11), _machine(State.RUNNING)
    waits = replace(machine, waits_for_room=True)
    assert _plan(row, waits) == Plan(observe=(waits,))
    assert _plan(row._replace(detail=WAITS_FOR_ROOM), waits) == Plan()
    assert _plan(row._replace(detail=WAITS_FOR_ROOM), machine) == Plan(observe=(machine,))


def test_deleted_is_believed_whatever_its_sequence() -> None:
    machine = _machine(State.DELETED, sequence=0)
    assert _plan(_row(State.DELETING), machine).apply == (machine,)


def test_a_timeout_that_the_host_did_not_hear_of_is_told_again() -> None:
    idle = _machine(State.PAUSED, generation=1, cause=Cause.IDLE_TIMEOUT)
    for row, machine in (
        (_row(State.RUNNING, timeout_sec=60), _machine(State.RUNNING, timeout_sec=60, generation=1)),
        (_row(State.RUNNING, timeout_sec=60), _machine(State.RUNNING, timeout_sec=30)),
        (_row(State.RUNNING), idle),
        (_row(State.PAUSING), idle),
    ):
        planned = _plan(row, machine)
        assert (planned.tell, planned.apply, planned.resend) == ((ID,), (), ())
        assert not _plan(row, machine, age=RESEND_AFTER_SECONDS - 1).tell
    assert not _plan(_row(State.PAUSING, goal=Goal.PAUSED), idle).tell
    assert not _plan(_row(State.PAUSED, timeout_sec=60), _machine(State.PAUSED, timeout_sec=30)).tell


def _strays(
    *machines: Machine, written: Written | None = None, age: float = STRAY_AFTER_SECONDS
) -> tuple[tuple[Stray, ...], int]:
    claims = Claims(HOST, CLUSTER, {} if written is None else {ID: written})
    ages = {machine.sandbox_id: age for machine in machines}
    planned = plan([], Inventory(machines, 20, "agent"), ages, frozenset(), claims)
    assert replace(planned, destroy=(), left_alone=0) == Plan()
    return planned.destroy, planned.left_alone


@pytest.mark.parametrize("state", sorted(State))
def test_a_machine_of_ours_without_a_row_is_destroyed_after_a_grace(state: State) -> None:
    machine = _machine(state, cluster_id=CLUSTER)
    assert _strays(machine) == (((ID, 3),) if state is not State.DELETED else (), 0)
    assert _strays(machine, age=STRAY_AFTER_SECONDS - 0.1) == ((), 0)


@pytest.mark.parametrize("cluster_id", [None, new_id()])
def test_a_machine_that_is_not_known_to_be_ours_is_left_alone_and_said(cluster_id: UUID | None) -> None:
    machine = _machine(State.RUNNING, cluster_id=cluster_id)
    for written in (None, Written(HOST, State.DELETED, 2)):
        assert _strays(machine, written=written, age=1e9) == ((), 1)
    assert "1 left alone" in str(Plan(left_alone=1))


def test_a_machine_that_outlived_its_deleted_row_is_destroyed_under_the_newest_generation() -> None:
    machine = _machine(State.PAUSED, cluster_id=CLUSTER)
    assert _strays(machine, written=Written(HOST, State.DELETED, 7)) == (((ID, 7),), 0)
    assert _strays(machine, written=Written(HOST, State.DELETED, 2)) == (((ID, 3),), 0)


@pytest.mark.parametrize("state", sorted(set(State) - {State.DELETED}))
def test_a_row_that_was_written_since_or_is_of_another_host_keeps_its_machine(state: State) -> None:
    machine = _machine(State.RUNNING, cluster_id=CLUSTER)
    assert _strays(machine, written=Written(HOST, state, 1), age=1e9) == ((), 0)
    assert _strays(machine, written=Written(new_id(), state, 1), age=1e9) == ((), 1)


def test_not_more_than_some_machines_are_destroyed_at_once() -> None:
    machines = [_machine(State.RUNNING, sandbox_id=new_id(), cluster_id=CLUSTER) for _ in range(STRAYS_MAX + 1)]
    destroyed, left_alone = _strays(*machines)
    assert (len(destroyed), left_alone) == (STRAYS_MAX, 0)

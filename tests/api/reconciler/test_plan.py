"""What is made of the difference between rows and a host's inventory."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest

from api.domain.machine import Inventory, Machine
from api.domain.sandbox import MOVES, TRANSITIONAL, Cause, Goal, Move, Owner, State
from api.ids import Kind, new_id, wire_id
from api.reconciler.plan import LOST_AFTER, RESEND_AFTER, Plan, Row, plan
from tests.api.records import NOW

ID = new_id()


def _row(state: State, **changes: object) -> Row:
    row = Row(
        id=ID,
        state=state,
        generation=2,
        sequence=10,
        version=3,
        updated_at=NOW - timedelta(hours=1),
        state_deadline_at=None,
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


def _plan(row: Row, *machines: Machine, under_way: frozenset[UUID] = frozenset(), **changes: object) -> Plan:
    inventory = replace(Inventory(machines, 20, "agent"), **changes)  # type: ignore[arg-type]
    return plan([row], inventory, NOW, under_way)


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
    assert _plan(row._replace(updated_at=NOW - LOST_AFTER + timedelta(seconds=1))) == Plan()


@pytest.mark.parametrize("state", sorted(set(State) - TRANSITIONAL - {State.RUNNING}))
def test_nothing_else_is_concluded_from_a_missing_machine(state: State) -> None:
    assert _plan(_row(state)) == Plan()


def test_what_cannot_be_read_is_not_missing() -> None:
    row = _row(State.RUNNING)
    assert _plan(row, unreadable=frozenset({wire_id(Kind.SANDBOX, ID)})) == Plan()


@pytest.mark.parametrize("state", sorted(TRANSITIONAL))
def test_a_command_that_the_host_never_heard_of_is_sent_again(state: State) -> None:
    assert _plan(_row(state, goal=Goal.PAUSED)).resend == (ID,)
    assert _plan(_row(state, goal=Goal.PAUSED), _machine(State.RUNNING, generation=1)).resend == (ID,)
    young = _row(state, goal=Goal.PAUSED, updated_at=NOW - RESEND_AFTER + timedelta(seconds=1))
    assert not _plan(young).resend
    assert not _plan(_row(state, goal=Goal.PAUSED), under_way=frozenset({ID})).resend


def test_a_command_that_the_host_is_at_is_left_alone_until_its_deadline() -> None:
    row = _row(State.PAUSING)
    assert not _plan(row, _machine(State.PAUSING)).resend
    late = row._replace(state_deadline_at=NOW)
    assert _plan(late, _machine(State.PAUSING)).resend == (ID,)


def test_a_delete_that_its_host_could_not_finish_is_sent_again_soon() -> None:
    assert _plan(_row(State.DELETING), _machine(State.DELETING)).resend == (ID,)
    young = _row(State.DELETING, updated_at=NOW - RESEND_AFTER + timedelta(seconds=1))
    assert not _plan(young, _machine(State.DELETING)).resend


def test_the_same_state_is_only_noted() -> None:
    machine = _machine(State.RUNNING)
    assert _plan(_row(State.RUNNING), machine) == Plan(observe=(machine,))
    assert _plan(_row(State.RUNNING, sequence=11), machine) == Plan()
    larger = _machine(State.RUNNING, stored_bytes=1)
    assert _plan(_row(State.RUNNING, sequence=11), larger) == Plan(observe=(larger,))


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
        assert not _plan(row._replace(updated_at=NOW), machine).tell
    assert not _plan(_row(State.PAUSING, goal=Goal.PAUSED), idle).tell
    assert not _plan(_row(State.PAUSED, timeout_sec=60), _machine(State.PAUSED, timeout_sec=30)).tell

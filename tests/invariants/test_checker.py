"""Each violation is found, and a platform as it should be has none."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from api.domain.machine import HeldState
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import Cause, Goal, State
from api.domain.template import TemplateState
from tests.invariants.checker import check
from tests.invariants.evidence import (
    Event,
    Evidence,
    HeldTemplate,
    Kept,
    Machine,
    Operation,
    Promises,
    Sandbox,
    Template,
)

HOST, OTHER_HOST, TEAM = uuid4(), uuid4(), uuid4()
RUNS, PAUSED, GONE = uuid4(), uuid4(), uuid4()
LIVE = uuid4()
READY, OLD = uuid4(), uuid4()


def _history(first: int, sandbox_id: UUID, *steps: tuple[str, State, int]) -> tuple[Event, ...]:
    """Steps are kind, state afterwards and generation."""
    before, events = State.PENDING, []
    for index, (kind, state, generation) in enumerate(steps):
        after = {"state": state, "generation": generation, "version": index + 1, "sequence": index}
        actor = "host-1" if kind == "sandbox.report" else "key-1"
        events.append(Event(first + index, sandbox_id, kind, actor, {"state": before}, after))
        before = state
    return tuple(events)


_START = (("sandbox.create", State.STARTING, 1), ("sandbox.report", State.RUNNING, 1))
_PAUSE = (("sandbox.pause", State.PAUSING, 2), ("sandbox.report", State.PAUSED, 2))
_DELETE = (("sandbox.delete", State.DELETING, 2), ("sandbox.report", State.DELETED, 2))


def _operation(sandbox_id: UUID, kind: OperationKind, generation: int, key: str | None = None) -> Operation:
    return Operation(uuid4(), TEAM, sandbox_id, kind, OperationState.SUCCEEDED, generation, key)


def _platform() -> Evidence:
    """One sandbox that runs, one that is paused, one that was deleted."""

    def row(sandbox_id: UUID, state: State, goal: Goal, generation: int, version: int) -> Sandbox:
        incarnation = LIVE if state is State.RUNNING else None
        common = {"observed_generation": generation, "sequence": version - 1, "incarnation": incarnation}
        return Sandbox(
            sandbox_id,
            TEAM,
            HOST,
            state,
            goal,
            Cause.USER,
            generation,
            version=version,
            **common,  # type: ignore[arg-type]
        )

    return Evidence(
        sandboxes=(
            row(RUNS, State.RUNNING, Goal.RUNNING, 1, 2),
            row(PAUSED, State.PAUSED, Goal.PAUSED, 2, 4),
            row(GONE, State.DELETED, Goal.GONE, 2, 4),
        ),
        operations=(
            _operation(RUNS, OperationKind.CREATE, 1, "a"),
            _operation(PAUSED, OperationKind.CREATE, 1, "b"),
            _operation(PAUSED, OperationKind.PAUSE, 2),
            _operation(GONE, OperationKind.CREATE, 1, "c"),
            _operation(GONE, OperationKind.DELETE, 2),
        ),
        events=(
            *_history(1, RUNS, *_START),
            *_history(10, PAUSED, *_START, *_PAUSE),
            *_history(20, GONE, *_START, *_DELETE),
        ),
        machines=(
            Machine(HOST, RUNS, State.RUNNING, 1, 1, LIVE),
            Machine(HOST, PAUSED, State.PAUSED, 2, 3),
            Machine(HOST, GONE, State.DELETED, 2, 5),
        ),
        kept=(Kept(HOST, RUNS, live=(str(LIVE),)), Kept(HOST, PAUSED, saved=True)),
        templates=(Template(READY, TemplateState.READY, frozenset({HOST})), Template(OLD, TemplateState.DELETED)),
        held_templates=(
            HeldTemplate(HOST, READY, HeldState.READY),
            HeldTemplate(HOST, OLD, HeldState.DELETED),
        ),
        machines_running={HOST: 1},
        promises=Promises({RUNS, PAUSED, GONE}, {GONE}, {(TEAM, "a"): {RUNS}}, {PAUSED: [1, 2, 2, 4]}),
    )


def test_a_platform_as_it_should_be_has_no_violations() -> None:
    assert check(_platform()) == []


def test_nothing_is_concluded_from_a_host_that_does_not_answer() -> None:
    assert check(replace(_platform(), machines=(), kept=(), machines_running={})) == []


def _row(sandbox_id: UUID, **changes: object) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(
        evidence,
        sandboxes=tuple(
            replace(row, **changes) if row.id == sandbox_id else row  # type: ignore[arg-type]
            for row in evidence.sandboxes
        ),
    )


def _machine(sandbox_id: UUID, **changes: object) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(
        evidence,
        machines=tuple(
            replace(machine, **changes) if machine.sandbox_id == sandbox_id else machine  # type: ignore[arg-type]
            for machine in evidence.machines
        ),
    )


def _event(event_id: int, **after: object) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(
        evidence,
        events=tuple(
            replace(event, after=event.after | after) if event.id == event_id else event for event in evidence.events
        ),
    )


def _because(event_id: int, cause: Cause) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(
        evidence,
        events=tuple(replace(event, cause=cause) if event.id == event_id else event for event in evidence.events),
    )


def _kept(*kept: Kept) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, kept=(*evidence.kept, *kept))


def _without_kept(evidence: Evidence) -> Evidence:
    return replace(evidence, kept=())


def _promises(**changes: object) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, promises=replace(evidence.promises, **changes))  # type: ignore[arg-type]


def _operations(*operations: Operation) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, operations=(*evidence.operations, *operations))


def _held(*held: HeldTemplate) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, held_templates=held)


def _templates(*templates: Template) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, templates=(*evidence.templates, *templates))


def _child(state: State, fork: OperationState) -> Callable[[Evidence], Evidence]:
    operation = Operation(uuid4(), TEAM, PAUSED, OperationKind.FORK, fork, 3)
    return lambda evidence: _row(RUNS, state=state, fork_id=operation.id)(_operations(operation)(evidence))


_FAILED_TEMPLATE = Operation(
    uuid4(), TEAM, RUNS, OperationKind.CREATE_TEMPLATE, OperationState.FAILED, 1, template_id=READY
)
_UNFINISHED = Operation(uuid4(), TEAM, RUNS, OperationKind.PAUSE, OperationState.RUNNING, 1)

VIOLATIONS: dict[str, tuple[int, Callable[[Evidence], Evidence]]] = {
    "an acknowledged sandbox is not there": (1, _promises(created={uuid4()})),
    "it failed by the user's wish": (1, _row(RUNS, state=State.FAILED)),
    "it stopped unasked by the user's wish": (1, _row(RUNS, state=State.STOPPED)),
    "two machines of one sandbox live": (2, _kept(Kept(OTHER_HOST, RUNS, live=(str(uuid4()),)))),
    "two hosts say that it runs": (
        2,
        lambda e: replace(e, machines=(*e.machines, Machine(OTHER_HOST, RUNS, State.RUNNING, 1, 9, uuid4()))),
    ),
    "another incarnation runs than its host knows": (2, _machine(RUNS, incarnation=uuid4())),
    "the row has another incarnation": (2, _row(RUNS, incarnation=uuid4())),
    "files without a row": (3, _kept(Kept(HOST, uuid4()))),
    "a machine without a row": (
        3,
        lambda e: replace(e, machines=(*e.machines, Machine(HOST, uuid4(), State.RUNNING, 1, 9, uuid4()))),
    ),
    "a paused sandbox still has a machine": (
        3,
        lambda e: replace(e, kept=(e.kept[0], Kept(HOST, PAUSED, live=(str(uuid4()),), saved=True))),
    ),
    "it runs in the database only": (4, _machine(RUNS, state=State.STOPPED)),
    "it runs, and nothing lives": (4, _without_kept),
    "the host is ahead of the database": (5, _machine(RUNS, generation=7)),
    "the host obeyed what nobody gave": (5, _row(RUNS, observed_generation=7)),
    "the generation went back": (5, _event(13, generation=1)),
    "the sequence went back": (5, _event(13, sequence=0)),
    "an old generation was obeyed": (5, lambda e: replace(e, stale_obeyed=(RUNS,))),
    "one key made two sandboxes": (6, _operations(_operation(PAUSED, OperationKind.CREATE, 1, "a"))),
    "one key was answered with two sandboxes": (6, _promises(by_key={(TEAM, "a"): {RUNS, PAUSED}})),
    "an acknowledged pause was undone": (7, _row(PAUSED, state=State.RUNNING)),
    "nothing of a paused sandbox is saved": (7, _without_kept),
    "a paused sandbox is not so on its host": (7, _machine(PAUSED, state=State.STOPPED)),
    "an acknowledged delete was undone": (7, _row(GONE, state=State.STOPPED)),
    "what is wanted is not what is, and nothing is done": (7, _row(PAUSED, goal=Goal.RUNNING)),
    "a move that nobody may make": (8, _event(11, state=State.PAUSED)),
    "a move for a cause that it cannot have": (8, _because(11, Cause.CRASHED)),
    "a history that does not end at the row": (8, _event(2, state=State.FAILED)),
    "a sandbox without a history": (8, lambda e: replace(e, events=e.events[2:])),
    "an operation that says too much": (8, _operations(_operation(RUNS, OperationKind.PAUSE, 1))),
    "a version went back": (9, _event(13, version=1)),
    "a change without an event": (9, _row(RUNS, version=3)),
    "a subscriber saw a version go back": (9, _promises(seen_versions={PAUSED: [2, 1, 4]})),
    "a subscriber missed the last change": (9, _promises(seen_versions={PAUSED: [1, 2]})),
    "a template that can be seen is not there": (10, _held()),
    "a template that can be seen is not complete": (10, _held(HeldTemplate(HOST, READY, HeldState.BUILDING))),
    "a deleted template is said to lie somewhere": (
        10,
        _templates(Template(uuid4(), TemplateState.DELETED, frozenset({HOST}))),
    ),
    "a sandbox stands on a deleted template": (10, _row(RUNS, template_id=OLD)),
    "a template is there that could not be made": (10, _operations(_FAILED_TEMPLATE)),
    "a deleted template still lies there": (3, _held(HeldTemplate(HOST, OLD, HeldState.READY))),
    "a template without a row": (3, _held(HeldTemplate(HOST, uuid4(), HeldState.READY))),
    "a template is never finished": (14, _templates(Template(uuid4(), TemplateState.CREATING, frozenset({HOST})))),
    "a child of nothing": (11, _row(RUNS, fork_id=uuid4())),
    "a child that runs though its fork failed": (11, _child(State.RUNNING, OperationState.FAILED)),
    "a child that still waits for its fork": (11, _child(State.PENDING, OperationState.SUCCEEDED)),
    "a transitional state does not end": (14, _row(RUNS, state=State.PAUSING)),
    "its host does not end": (14, _machine(RUNS, state=State.PAUSING)),
    "an operation does not end": (14, _operations(_UNFINISHED)),
    "a deleted sandbox still lies there": (15, _kept(Kept(HOST, GONE))),
    "a deleted sandbox is still known": (15, _machine(GONE, state=State.STOPPED)),
    "more runs than the rows say": (18, lambda e: replace(e, machines_running={HOST: 2})),
}


@pytest.mark.parametrize("what", VIOLATIONS)
def test_a_violation_is_found(what: str) -> None:
    invariant, broken = VIOLATIONS[what]
    assert invariant in {violation.invariant for violation in check(broken(_platform()))}

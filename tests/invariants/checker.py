"""The invariants of the platform, checked over evidence that was gathered when nothing was under way. Pure.

1. Every create that was acknowledged is there; what ended has a cause.
2. At most one live machine per sandbox, that of the newest incarnation.
3. Nothing runs or lies on a host without a row that wants it.
4. Nothing is running in the database without a machine.
5. Older generations are refused; a host is never ahead of the database.
6. One idempotency key, one sandbox.
7. An acknowledged pause or delete is not undone.
8. The history of every sandbox is a path in `MOVES`, each move made by who may make it.
9. Versions only grow, each change has its event, and the last one is the row.
10. A template that can be seen is complete on every host that is said to hold it, and sandboxes stand on no other; one
    that is not is nowhere; an operation says what became of it.
11. Children share the end of their fork: none waits for one that has ended, and none began without it.
14. Nothing stays in a transitional state, and no operation without an end.
15. What was deleted is gone everywhere.
18. What hosts say they use is the sum over live rows.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from uuid import UUID

from api.domain.machine import HeldState
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import MOVES, TRANSITIONAL, Cause, Goal, Move, Owner, State
from api.domain.template import TemplateState
from tests.invariants.evidence import Event, Evidence, Kept, Machine, Sandbox, Violation

_REPORTED = frozenset({"sandbox.report", "sandbox.reconciled", "sandbox.refused"})
"""Kinds of events that write what hosts did; every other kind is a command."""

_WISHES = frozenset({Cause.USER, Cause.IDLE_TIMEOUT, Cause.AUTO_RESUME})
"""Causes that explain no end which nobody asked for."""

_GOALS = {State.RUNNING: Goal.RUNNING, State.PAUSED: Goal.PAUSED, State.DELETED: Goal.GONE}

_ACHIEVED = {
    OperationKind.CREATE: State.RUNNING,
    OperationKind.START: State.RUNNING,
    OperationKind.RESUME: State.RUNNING,
    OperationKind.PAUSE: State.PAUSED,
    OperationKind.DELETE: State.DELETED,
}
"""What a succeeded command has led to; other kinds leave the sandbox as it was."""

_KEEPS_NOTHING = frozenset({State.FAILED, State.DELETED})

Found = Iterator[Violation]


def check(evidence: Evidence) -> list[Violation]:
    """Everything that does not hold."""
    return [violation for rule in _RULES for violation in rule(evidence)]


def _acknowledged(evidence: Evidence) -> Found:
    rows = {row.id: row for row in evidence.sandboxes}
    for sandbox_id in evidence.promises.created - rows.keys():
        yield Violation(1, sandbox_id, "a client was told of a sandbox that is not there")
    histories = _histories(evidence)
    for row in evidence.sandboxes:
        if row.state is State.FAILED and row.cause in _WISHES:
            yield Violation(1, row.id, f"it failed, and the cause is {row.cause}")
        asked_for = any(event.before.get("state") == State.STOPPING for event in histories[row.id])
        if row.state is State.STOPPED and row.cause in _WISHES and not asked_for:
            yield Violation(1, row.id, f"it stopped unasked, and the cause is {row.cause}")


def _one_live_machine(evidence: Evidence) -> Found:
    live: dict[UUID, list[str]] = defaultdict(list)
    for kept in evidence.kept:
        live[kept.sandbox_id] += kept.live
    for sandbox_id, names in live.items():
        if len(names) > 1:
            yield Violation(2, sandbox_id, f"{len(names)} machines live: {', '.join(names)}")
    running = [machine for machine in evidence.machines if machine.state is State.RUNNING]
    for sandbox_id, count in Counter(machine.sandbox_id for machine in running).items():
        if count > 1:
            yield Violation(2, sandbox_id, f"{count} hosts say that it runs on them")
    for incarnation, count in Counter(machine.incarnation for machine in running if machine.incarnation).items():
        if count > 1:
            yield Violation(2, None, f"incarnation {incarnation} is that of {count} machines")


def _newest_incarnation(evidence: Evidence) -> Found:
    running = [machine for machine in evidence.machines if machine.state is State.RUNNING]
    known = {machine.sandbox_id: str(machine.incarnation) for machine in running}
    for kept in evidence.kept:
        for name in kept.live:
            if _is_uuid(name) and known.get(kept.sandbox_id, name) != name:
                yield Violation(2, kept.sandbox_id, f"{name} runs, its host knows {known[kept.sandbox_id]}")
    incarnations = {row.id: row.incarnation for row in evidence.sandboxes if row.state is State.RUNNING}
    for machine in running:
        if incarnations.get(machine.sandbox_id, machine.incarnation) != machine.incarnation:
            yield Violation(2, machine.sandbox_id, "the row has another incarnation than the host")


def _nothing_without_a_row(evidence: Evidence) -> Found:
    rows = {row.id: row for row in evidence.sandboxes}
    for kept in evidence.kept:
        row = rows.get(kept.sandbox_id)
        if row is None or row.host_id != kept.host_id:
            yield Violation(3, kept.sandbox_id, "it lies on a host without a row that says so")
        elif row.state in _KEEPS_NOTHING:
            yield Violation(15 if row.state is State.DELETED else 3, row.id, f"{row.state}, and still on its host")
        elif kept.live and row.state is not State.RUNNING and row.state not in TRANSITIONAL:
            yield Violation(3, row.id, f"it is {row.state}, and a machine of it lives")
    for machine in evidence.machines:
        row = rows.get(machine.sandbox_id)
        if row is None and machine.state is not State.DELETED:
            yield Violation(3, machine.sandbox_id, f"its host has it as {machine.state}, and there is no row")


def _every_row_has_what_it_says(evidence: Evidence) -> Found:
    machines = {(machine.host_id, machine.sandbox_id): machine for machine in evidence.machines}
    kept = {(found.host_id, found.sandbox_id): found for found in evidence.kept}
    for row in evidence.sandboxes:
        if row.host_id is None or row.host_id not in evidence.machines_running:
            continue  # a host that does not answer: nothing is known, so nothing is concluded
        place = (row.host_id, row.id)
        yield from _machine_of(row, machines.get(place))
        yield from _kept_of(row, kept.get(place))


def _machine_of(row: Sandbox, machine: Machine | None) -> Found:
    if row.state is State.RUNNING and (machine is None or machine.state is not State.RUNNING):
        yield Violation(4, row.id, f"it runs in the database, and is {machine.state if machine else 'unknown'} there")
    elif row.state is State.PAUSED and (machine is None or machine.state is not State.PAUSED):
        yield Violation(7, row.id, f"paused in the database, and {machine.state if machine else 'unknown'} there")
    elif row.state is State.DELETED and machine is not None and machine.state is not State.DELETED:
        yield Violation(15, row.id, f"it is deleted, and its host has it as {machine.state}")


def _kept_of(row: Sandbox, kept: Kept | None) -> Found:
    if row.state is State.RUNNING and (kept is None or not kept.live):
        yield Violation(4, row.id, "it runs in the database, and no machine of it lives")
    if row.state is State.PAUSED and (kept is None or not kept.saved):
        yield Violation(7, row.id, "it is paused, and nothing of it is saved")
    if row.state is State.STOPPED and row.cause is not Cause.ORPHANED and (kept is None or not kept.has_disk):
        yield Violation(7, row.id, "it is stopped, and its disk is gone")


def _generations(evidence: Evidence) -> Found:
    rows = {row.id: row for row in evidence.sandboxes}
    for row in evidence.sandboxes:
        if row.observed_generation > row.generation:
            yield Violation(
                5, row.id, f"its host obeyed {row.observed_generation}, which nobody gave: {row.generation}"
            )
    for machine in evidence.machines:
        known = rows.get(machine.sandbox_id)
        if known is not None and machine.generation > known.generation:
            yield Violation(5, known.id, f"its host has generation {machine.generation}, the row {known.generation}")
    for sandbox_id in evidence.stale_obeyed:
        yield Violation(5, sandbox_id, "its host did not refuse an older generation")
    for sandbox_id, history in _histories(evidence).items():
        for one, two in pairwise(history):
            if two.after["generation"] < one.after["generation"]:
                yield Violation(5, sandbox_id, f"its generation went back in event {two.id}")
            if two.after["sequence"] < one.after["sequence"]:
                yield Violation(5, sandbox_id, f"its sequence went back in event {two.id}")


def _keys(evidence: Evidence) -> Found:
    by_key: dict[tuple[UUID, str], set[UUID]] = defaultdict(set)
    for operation in evidence.operations:
        if operation.idempotency_key is not None:
            by_key[operation.team_id, operation.idempotency_key].add(operation.sandbox_id or operation.id)
    for place, answered in evidence.promises.by_key.items():
        by_key[place] |= answered
    for (_, key), sandbox_ids in by_key.items():
        if len(sandbox_ids) > 1:
            yield Violation(6, min(sandbox_ids), f"key {key} has {len(sandbox_ids)} sandboxes")


def _not_undone(evidence: Evidence) -> Found:
    rows = {row.id: row for row in evidence.sandboxes}
    for operation in evidence.operations:
        row = None if operation.sandbox_id is None else rows.get(operation.sandbox_id)
        if operation.state is not OperationState.SUCCEEDED or row is None:
            continue
        if operation.kind is OperationKind.DELETE and row.state is not State.DELETED:
            yield Violation(7, row.id, f"its delete succeeded, and it is {row.state}")
        is_last = row.generation == operation.generation
        if operation.kind is OperationKind.PAUSE and is_last and row.state is not State.PAUSED:
            yield Violation(7, row.id, f"its pause succeeded, nothing came after, and it is {row.state}")
    for sandbox_id in evidence.promises.deleted:
        if sandbox_id in rows and rows[sandbox_id].state is not State.DELETED:
            yield Violation(7, sandbox_id, f"a client was told that it is deleted: it is {rows[sandbox_id].state}")
    for row in evidence.sandboxes:
        if (goal := _GOALS.get(row.state)) is not None and row.goal is not goal:
            yield Violation(7, row.id, f"it is {row.state}, wanted is {row.goal}, and nothing is under way")


def _paths(evidence: Evidence) -> Found:
    histories = _histories(evidence)
    for row in evidence.sandboxes:
        history = histories[row.id]
        if not history:
            yield Violation(8, row.id, "it has no history")
            continue
        for event in history:
            yield from _move(row, event)
        for one, two in pairwise(history):
            if one.after["state"] != two.before["state"]:
                yield Violation(8, row.id, f"event {two.id} begins at {two.before['state']}, not {one.after['state']}")
        if history[-1].after["state"] != row.state:
            yield Violation(8, row.id, f"its history ends at {history[-1].after['state']}, it is {row.state}")
    for operation in evidence.operations:
        if operation.state is OperationState.SUCCEEDED and operation.kind in _ACHIEVED and operation.sandbox_id:
            reached = {
                event.after["state"]
                for event in histories[operation.sandbox_id]
                if event.after["generation"] >= operation.generation
            }
            if _ACHIEVED[operation.kind] not in reached:
                yield Violation(8, operation.sandbox_id, f"{operation.kind} succeeded, and was never seen to")


def _move(row: Sandbox, event: Event) -> Found:
    before, after = State(event.before["state"]), State(event.after["state"])
    if before is after:
        return
    owner = Owner.HOST if event.kind in _REPORTED else Owner.API
    causes = MOVES.get(Move(before, after, owner))
    if causes is None:
        yield Violation(8, row.id, f"event {event.id} ({event.kind}) moved it from {before} to {after}")
    elif event.cause is not None and event.cause not in causes:
        yield Violation(8, row.id, f"event {event.id} moved it from {before} to {after} for {event.cause}")


def _versions(evidence: Evidence) -> Found:
    histories = _histories(evidence)
    for row in evidence.sandboxes:
        versions = [int(event.after["version"]) for event in histories[row.id]]
        if any(two <= one for one, two in pairwise(versions)):
            yield Violation(9, row.id, f"its versions went back: {versions}")
        if versions and versions[-1] != row.version:
            yield Violation(9, row.id, f"its newest event has version {versions[-1]}, the row {row.version}")
        seen = evidence.promises.seen_versions.get(row.id, [])
        if any(two < one for one, two in pairwise(seen)):
            yield Violation(9, row.id, f"a subscriber saw versions go back: {seen}")
        if seen and seen[-1] != row.version:
            yield Violation(
                9, row.id, f"the last version that a subscriber saw is {seen[-1]}, the row has {row.version}"
            )


def _ended(evidence: Evidence) -> Found:
    for row in evidence.sandboxes:
        if row.state in TRANSITIONAL:
            yield Violation(14, row.id, f"it is still {row.state}")
            if row.state_deadline_at is None:
                yield Violation(14, row.id, f"it is {row.state} without a deadline")
        elif row.state_deadline_at is not None:
            yield Violation(14, row.id, f"it is {row.state}, and has a deadline")
    for machine in evidence.machines:
        if machine.state in TRANSITIONAL:
            yield Violation(14, machine.sandbox_id, f"its host still has it as {machine.state}")
    for operation in evidence.operations:
        if operation.state is OperationState.RUNNING:
            yield Violation(14, operation.sandbox_id, f"its {operation.kind} has no end")


def _templates(evidence: Evidence) -> Found:
    rows = {row.id: row for row in evidence.templates}
    held = {(entry.host_id, entry.template_id): entry.state for entry in evidence.held_templates}
    for row in evidence.templates:
        if row.state in {TemplateState.CREATING, TemplateState.DELETING}:
            yield Violation(14, None, f"template {row.id} is still {row.state}")
        elif row.state is TemplateState.DELETED and row.hosts:
            yield Violation(10, None, f"template {row.id} is deleted, and said to lie on {len(row.hosts)} hosts")
        for host_id in row.hosts & evidence.machines_running.keys() if row.state is TemplateState.READY else ():
            if held.get((host_id, row.id)) is not HeldState.READY:
                yield Violation(10, None, f"template {row.id} can be seen, and is {held.get((host_id, row.id))} there")
    for (host_id, template_id), state in held.items():
        known = rows.get(template_id)
        wanted = known is not None and known.state is TemplateState.READY and host_id in known.hosts
        if state not in {HeldState.DELETED, HeldState.FAILED} and not wanted:
            yield Violation(3, None, f"a host has template {template_id} as {state}, and no row wants it there")


def _use_of_templates(evidence: Evidence) -> Found:
    rows = {row.id: row for row in evidence.templates}
    for sandbox in evidence.sandboxes:
        template = None if sandbox.template_id is None else rows.get(sandbox.template_id)
        if template is not None and template.state is not TemplateState.READY and sandbox.state not in _KEEPS_NOTHING:
            yield Violation(10, sandbox.id, f"it stands on a template that is {template.state}")
    for operation in evidence.operations:
        made = None if operation.template_id is None else rows.get(operation.template_id)
        if made is None or operation.kind is not OperationKind.CREATE_TEMPLATE:
            continue
        if operation.state is OperationState.FAILED and made.state is not TemplateState.DELETED:
            yield Violation(10, None, f"template {made.id} could not be made, and is {made.state}")


def _children(evidence: Evidence) -> Found:
    forks = {operation.id: operation for operation in evidence.operations if operation.kind is OperationKind.FORK}
    for sandbox in evidence.sandboxes:
        if sandbox.fork_id is None:
            continue
        fork = forks.get(sandbox.fork_id)
        if fork is None:
            yield Violation(11, sandbox.id, "it is a child of a fork that is not there")
        elif fork.state is OperationState.FAILED and sandbox.state not in _KEEPS_NOTHING:
            yield Violation(11, sandbox.id, f"its fork failed, and it is {sandbox.state}")
        elif fork.state is not OperationState.RUNNING and sandbox.state is State.PENDING:
            yield Violation(11, sandbox.id, f"its fork has {fork.state}, and it still waits")


def _capacity(evidence: Evidence) -> Found:
    running = Counter(row.host_id for row in evidence.sandboxes if row.state is State.RUNNING)
    for host_id, count in evidence.machines_running.items():
        if running[host_id] != count:
            yield Violation(18, None, f"host {host_id} says that {count} machines run, by the rows {running[host_id]}")


def _histories(evidence: Evidence) -> dict[UUID, list[Event]]:
    histories: dict[UUID, list[Event]] = defaultdict(list)
    for event in sorted(evidence.events, key=lambda event: event.id):
        histories[event.sandbox_id].append(event)
    return histories


def _is_uuid(name: str) -> bool:
    return len(name) == len(str(UUID(int=0)))


_RULES: Iterable[Callable[[Evidence], Found]] = (
    _acknowledged,
    _one_live_machine,
    _newest_incarnation,
    _nothing_without_a_row,
    _every_row_has_what_it_says,
    _generations,
    _keys,
    _not_undone,
    _paths,
    _versions,
    _ended,
    _templates,
    _use_of_templates,
    _children,
    _capacity,
)

"""What to do about the difference between rows and a host's inventory. Pure: every choice is made here."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from api.domain.machine import WAITS_FOR_ROOM, Inventory, Machine
from api.domain.sandbox import TRANSITIONAL, Cause, Goal, Owner, State, deadline_of, sources
from api.ids import Kind, wire_id
from api.reconciler.strays import Claims, Stray, strays, unclaimed

LOST_AFTER_SECONDS = 10.0
"""A machine that its host does not know is lost only when its row has not changed for so long."""
RESEND_AFTER_SECONDS = 5.0
"""A command that its host has not heard of is sent again after so long: whoever accepted it did not come to it."""


class Row(NamedTuple):
    """A sandbox as it was read before its host was asked. Times of day are compared with each other only."""

    id: UUID
    state: State
    generation: int
    sequence: int
    version: int
    updated_at: datetime
    last_active_at: datetime | None
    goal: Goal = Goal.RUNNING
    timeout_sec: int = 0
    stored_bytes: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Writes and calls, none of which depends on another. All are guarded, so a plan that is late does no harm."""

    apply: tuple[Machine, ...] = ()
    """Reports that move a sandbox on."""
    observe: tuple[Machine, ...] = ()
    """Reports that say nothing new but their sequence or their time."""
    lost: tuple[Row, ...] = ()
    """Sandboxes that run here and are unknown there."""
    resend: tuple[UUID, ...] = ()
    """Sandboxes whose last command has to be sent again."""
    tell: tuple[UUID, ...] = ()
    """Sandboxes whose timeout their host does not know."""
    destroy: tuple[Stray, ...] = ()
    """Machines that were made for this control plane, and that no row wants."""
    left_alone: int = 0
    """Machines that have no row on this host, and that nobody can say to be ours."""

    def __str__(self) -> str:
        parts = (
            (len(self.apply), "moved on"),
            (len(self.lost), "lost"),
            (len(self.resend), "commands sent again"),
            (len(self.tell), "timeouts told"),
            (len(self.destroy), "without a row to be destroyed"),
            (self.left_alone, "left alone: without a row here, and not known to be made by this control plane"),
        )
        return ", ".join(f"{count} {what}" for count, what in parts if count) or "nothing to do"


def plan(
    rows: Sequence[Row], inventory: Inventory, ages: Mapping[UUID, float], under_way: Collection[UUID], claims: Claims
) -> Plan:
    """What to do with the sandboxes of one host.

    `rows` were read before the inventory was asked for: a sandbox that started in between is in the inventory and in no
    row, never the other way round. `ages` says for how many seconds each row has been seen as it is, and each machine
    without one of these rows as that. `under_way` are sandboxes for which this replica is calling the host now.
    `claims` were read after the inventory.
    """
    machines = {machine.sandbox_id: machine for machine in inventory.machines}
    apply: list[Machine] = []
    observe: list[Machine] = []
    lost: list[Row] = []
    resend: list[UUID] = []
    tell: list[UUID] = []
    for row in rows:
        age = ages[row.id]
        if wire_id(Kind.SANDBOX, row.id) in inventory.unreadable:
            continue
        machine = machines.get(row.id)
        if machine is not None and _moves(row, machine):
            apply.append(machine)
            continue
        if machine is not None and _has_other_timeout(row, machine, age):
            tell.append(row.id)
        elif row.state in TRANSITIONAL:
            if row.id not in under_way and _needs_resending(row, machine, age):
                resend.append(row.id)
        elif machine is None and _is_lost(row, age):
            lost.append(row)
        if machine is not None and _is_news(row, machine):
            observe.append(machine)
    destroy, left_alone = strays(unclaimed({row.id for row in rows}, inventory), claims, ages)
    return Plan(tuple(apply), tuple(observe), tuple(lost), tuple(resend), tuple(tell), destroy, left_alone)


def _moves(row: Row, machine: Machine) -> bool:
    """Whether the guard in SQL would let this report through; it decides again, on the row as it is then."""
    return (
        machine.state is not row.state
        and (machine.sequence > row.sequence or machine.state is State.DELETED)
        and (machine.generation >= row.generation or _outlasts_commands(row, machine))
        and row.state in sources(machine.state, Owner.HOST, machine.cause)
    )


def _outlasts_commands(row: Row, machine: Machine) -> bool:
    """Whether a report says something though it was made before the last command."""
    return row.state not in TRANSITIONAL and machine.cause is not Cause.IDLE_TIMEOUT


def _needs_resending(row: Row, machine: Machine | None, age: float) -> bool:
    deadline_seconds = deadline_of(row.state)
    overdue = deadline_seconds is not None and age >= deadline_seconds
    unheard = machine is None or machine.generation < row.generation
    # a host that could not remove everything waits to be told again, and nothing takes a delete back
    unfinished = unheard or row.state is State.DELETING
    return overdue or (unfinished and age >= RESEND_AFTER_SECONDS)


def _has_other_timeout(row: Row, machine: Machine, age: float) -> bool:
    """Whether the host has not heard of the last timeout, of what runs here and maybe is paused there since."""
    thought_to_run = row.state is State.RUNNING or (row.state is State.PAUSING and row.goal is Goal.RUNNING)
    unheard = machine.generation < row.generation
    differs = machine.state is State.RUNNING is row.state and machine.timeout_sec != row.timeout_sec
    return thought_to_run and (unheard or differs) and age >= RESEND_AFTER_SECONDS


def _is_lost(row: Row, age: float) -> bool:
    return row.state is State.RUNNING and age >= LOST_AFTER_SECONDS


def _is_news(row: Row, machine: Machine) -> bool:
    if machine.state is not row.state:
        return False
    active = machine.last_active_at
    return (
        machine.sequence > row.sequence
        or (active is not None and (row.last_active_at is None or active > row.last_active_at))
        or (machine.sequence == row.sequence and machine.stored_bytes != row.stored_bytes)
        or machine.waits_for_room != (row.detail == WAITS_FOR_ROOM)
    )


LOST_TARGET = State.STOPPED
LOST_CAUSE = Cause.ORPHANED
LOST_DETAIL = "Its host answers, and knows nothing of it."

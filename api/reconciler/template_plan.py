"""What to do about the difference between rows of templates and forks and what their host says. Pure, as `plan`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from api.domain.machine import HeldState, HeldTemplate, Inventory
from api.domain.operation import OperationState
from api.domain.template import TemplateState
from api.ids import Kind, wire_id
from api.reconciler.plan import LOST_AFTER_SECONDS, RESEND_AFTER_SECONDS

ASKED_FOR_SECONDS = 600.0
"""How long a host is asked how a fork ended: it keeps nothing for children longer (FORK_KEPT in `agent/forks.py`)."""


class TemplateRow(NamedTuple):
    """A template that a host holds or makes, as it was read before the host was asked. `is_being_asked_for`: the
    command that makes it is not over, so that the host may not have heard of it yet."""

    id: UUID
    state: TemplateState
    sequence: int
    updated_at: datetime
    source_sandbox_id: UUID | None
    is_being_asked_for: bool


class ForkRow(NamedTuple):
    """A fork that has not ended, or whose children do not know it yet, as it was read before the host was asked.
    `parent_is_at_it`: its command is under way, and resent like any other."""

    id: UUID
    state: OperationState
    parent_id: UUID
    parent_is_at_it: bool


@dataclass(frozen=True, slots=True)
class TemplatePlan:
    """Writes and calls, none of which depends on another. All are guarded, so a plan that is late does no harm."""

    apply: tuple[HeldTemplate, ...] = ()
    """Reports that say something new."""
    lost: tuple[TemplateRow, ...] = ()
    """Templates that were to be made, of which the host knows nothing."""
    gone: tuple[TemplateRow, ...] = ()
    """Templates that the host no longer has."""
    remove: tuple[UUID, ...] = ()
    """Templates that are deleted, and still on the host."""

    def __str__(self) -> str:
        parts = (
            (len(self.apply), "template reports"),
            (len(self.lost), "templates lost"),
            (len(self.gone), "templates gone"),
            (len(self.remove), "templates to be removed"),
        )
        return ", ".join(f"{count} {what}" for count, what in parts if count)


def plan_templates(
    rows: Sequence[TemplateRow],
    known: Mapping[UUID, TemplateState],
    inventory: Inventory,
    ages: Mapping[UUID, float],
    under_way: Collection[UUID],
) -> TemplatePlan:
    """What to do with the templates of one host.

    `rows` were read before the inventory was asked for, `known` afterwards: the states of all templates in it that have
    a row at all. `ages` says for how many seconds each row has been seen as it is. `under_way` are sandboxes for which
    this replica is calling the host now.
    """
    held = {template.template_id: template for template in inventory.templates}
    apply: list[HeldTemplate] = []
    lost: list[TemplateRow] = []
    gone: list[TemplateRow] = []
    remove: list[UUID] = []
    for row in rows:
        template = held.pop(row.id, None)
        if wire_id(Kind.TEMPLATE, row.id) in inventory.unreadable:
            continue
        there = template is not None and template.state not in {HeldState.DELETED, HeldState.FAILED}
        if row.state in {TemplateState.DELETING, TemplateState.DELETED}:
            if there:
                remove.append(row.id)
            else:
                gone.append(row)
        elif template is not None and template.sequence > row.sequence and template.state is not HeldState.DELETED:
            apply.append(template)
        elif not there and ages[row.id] >= LOST_AFTER_SECONDS:
            if row.state is TemplateState.READY:
                gone.append(row)
            elif not row.is_being_asked_for and row.source_sandbox_id not in under_way:
                lost.append(row)
    for template in held.values():
        state = known.get(template.template_id)
        if state in {TemplateState.DELETING, TemplateState.DELETED} and template.state in _HAS_FILES:
            remove.append(template.template_id)
        elif state is TemplateState.READY and template.state is HeldState.READY:
            apply.append(template)
    return TemplatePlan(tuple(apply), tuple(lost), tuple(gone), tuple(remove))


_HAS_FILES = frozenset({HeldState.BUILDING, HeldState.READY, HeldState.DELETING})


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """What becomes of forks and their children."""

    begin: tuple[UUID, ...] = ()
    """Forks that have succeeded, and whose children are still pending."""
    fail: tuple[UUID, ...] = ()
    """Forks that have failed, and whose children are still pending; and those whose end nobody found out in time."""
    ask: tuple[ForkRow, ...] = ()
    """Forks of which only the host knows how they ended."""


def plan_forks(rows: Sequence[ForkRow], ages: Mapping[UUID, float], under_way: Collection[UUID]) -> ForkPlan:
    """What to do with the forks on one host, `ages` as for templates. `under_way` are operations for which this replica
    is calling the host."""
    asked = [
        row
        for row in rows
        if row.state is OperationState.RUNNING and not row.parent_is_at_it and row.id not in under_way
    ]
    overdue = {row.id for row in asked if ages[row.id] >= ASKED_FOR_SECONDS}
    return ForkPlan(
        begin=tuple(row.id for row in rows if row.state is OperationState.SUCCEEDED and row.id not in under_way),
        fail=tuple(row.id for row in rows if row.state is OperationState.FAILED or row.id in overdue),
        ask=tuple(row for row in asked if row.id not in overdue and ages[row.id] >= RESEND_AFTER_SECONDS),
    )

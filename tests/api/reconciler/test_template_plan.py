"""What is made of the difference between rows of templates and forks and what their host says."""

from dataclasses import replace
from uuid import UUID

import pytest

from api.domain.machine import HeldState, HeldTemplate, Inventory
from api.domain.operation import OperationState
from api.domain.template import TemplateState
from api.ids import Kind, new_id, wire_id
from api.reconciler.plan import LOST_AFTER_SECONDS, RESEND_AFTER_SECONDS
from api.reconciler.template_plan import ForkPlan, ForkRow, TemplatePlan, TemplateRow, plan_forks, plan_templates
from tests.api.records import NOW

ID, SANDBOX_ID = new_id(), new_id()
HOUR_SECONDS = 3600.0


def _row(state: TemplateState, **changes: object) -> TemplateRow:
    row = TemplateRow(ID, state, 10, NOW, SANDBOX_ID, is_being_asked_for=False)
    return row._replace(**changes)  # type: ignore[arg-type]


def _held(state: HeldState, **changes: object) -> HeldTemplate:
    held = HeldTemplate(ID, state, 11, "", SANDBOX_ID, 1, 512, 5120, 4096, 50, "", "")
    return replace(held, **changes)  # type: ignore[arg-type]


def _plan(
    row: TemplateRow | None,
    *held: HeldTemplate,
    known: TemplateState | None = None,
    under_way: frozenset[UUID] = frozenset(),
    unreadable: frozenset[str] = frozenset(),
    age: float = HOUR_SECONDS,
) -> TemplatePlan:
    inventory = Inventory((), 20, "agent", unreadable, held)
    states = {} if known is None else {ID: known}
    return plan_templates([] if row is None else [row], states, inventory, {ID: age}, under_way)


@pytest.mark.parametrize("state", [HeldState.BUILDING, HeldState.READY, HeldState.FAILED])
def test_news_of_a_template_that_is_made_are_taken_in(state: HeldState) -> None:
    held = _held(state)
    assert _plan(_row(TemplateState.CREATING), held) == TemplatePlan(apply=(held,))
    if state is not HeldState.FAILED:
        assert _plan(_row(TemplateState.CREATING), replace(held, sequence=10)) == TemplatePlan()


def test_a_template_that_its_host_does_not_know_is_lost_after_a_grace() -> None:
    row = _row(TemplateState.CREATING)
    assert _plan(row).lost == (row,)
    assert _plan(row, _held(HeldState.DELETED)).lost == (row,)
    assert _plan(row, age=LOST_AFTER_SECONDS - 1) == TemplatePlan()


def test_a_template_that_its_host_may_not_have_heard_of_is_not_lost() -> None:
    row = _row(TemplateState.CREATING)
    assert _plan(row._replace(is_being_asked_for=True)) == TemplatePlan()
    assert _plan(row, under_way=frozenset({SANDBOX_ID})) == TemplatePlan()
    assert _plan(row, unreadable=frozenset({wire_id(Kind.TEMPLATE, ID)})) == TemplatePlan()


def test_a_deleted_template_is_removed_until_its_host_no_longer_has_it() -> None:
    for state in (TemplateState.DELETING, TemplateState.DELETED):
        row = _row(state)
        for held in (HeldState.BUILDING, HeldState.READY, HeldState.DELETING):
            assert _plan(row, _held(held)) == TemplatePlan(remove=(ID,))
        for gone in ((_held(HeldState.DELETED),), (_held(HeldState.FAILED),), ()):
            assert _plan(row, *gone) == TemplatePlan(gone=(row,))


def test_a_template_that_its_host_has_lost_is_no_longer_said_to_lie_there() -> None:
    row = _row(TemplateState.READY)
    assert _plan(row) == TemplatePlan(gone=(row,))
    assert _plan(row, _held(HeldState.DELETED)) == TemplatePlan(gone=(row,))
    assert _plan(row, _held(HeldState.READY, sequence=10)) == TemplatePlan()


def test_what_a_host_has_without_a_row_that_says_so() -> None:
    ready = _held(HeldState.READY)
    assert _plan(None, ready, known=TemplateState.DELETED) == TemplatePlan(remove=(ID,))
    assert _plan(None, _held(HeldState.FAILED), known=TemplateState.DELETED) == TemplatePlan()
    assert _plan(None, ready, known=TemplateState.READY) == TemplatePlan(apply=(ready,))
    # it may be another installation's
    assert _plan(None, ready) == TemplatePlan()


def _fork(state: OperationState, **changes: object) -> ForkRow:
    row = ForkRow(ID, state, SANDBOX_ID, parent_is_at_it=False)
    return row._replace(**changes)  # type: ignore[arg-type]


def test_children_follow_their_fork() -> None:
    running, old, unasked = _fork(OperationState.RUNNING), {ID: HOUR_SECONDS}, {ID: RESEND_AFTER_SECONDS}
    assert plan_forks([_fork(OperationState.SUCCEEDED)], old, ()) == ForkPlan(begin=(ID,))
    assert plan_forks([_fork(OperationState.SUCCEEDED)], old, {ID}) == ForkPlan()
    assert plan_forks([_fork(OperationState.FAILED)], old, ()) == ForkPlan(fail=(ID,))
    assert plan_forks([running], unasked, ()) == ForkPlan(ask=(running,))
    assert plan_forks([running], unasked, {ID}) == ForkPlan()
    assert plan_forks([running._replace(parent_is_at_it=True)], unasked, ()) == ForkPlan()
    assert plan_forks([running], old, ()) == ForkPlan(fail=(ID,))
    assert plan_forks([running], {ID: RESEND_AFTER_SECONDS - 1}, ()) == ForkPlan()

"""What may be done with a sandbox, as clients are told."""

import pytest

from api.domain.sandbox import UNREACHABLE, Action, State, allowed_actions, shown_state
from tests.api.records import a_sandbox


def _allowed(**changes: object) -> set[Action]:
    return {entry.action for entry in allowed_actions(a_sandbox(**changes)) if entry.allowed}


def test_what_runs_can_be_used_and_paused() -> None:
    assert _allowed() == set(Action) - {Action.RESUME, Action.START}


def test_what_is_paused_can_be_resumed_and_deleted_and_made_a_template_of() -> None:
    wanted = {Action.RESUME, Action.SET_TIMEOUT, Action.DELETE, Action.CREATE_TEMPLATE}
    assert _allowed(state=State.PAUSED) == wanted


def test_what_is_being_kept_can_be_used_and_deleted() -> None:
    used = {Action.EXEC, Action.READ_FILE, Action.WRITE_FILE, Action.PING}
    assert _allowed(state=State.SNAPSHOTTING) == used | {Action.SET_TIMEOUT, Action.DELETE}


def test_what_is_paused_can_be_used_where_that_resumes_it() -> None:
    used = {Action.EXEC, Action.READ_FILE, Action.WRITE_FILE}
    assert _allowed(state=State.PAUSED, auto_resume=True) == used | _allowed(state=State.PAUSED)


def test_what_is_stopped_can_be_started() -> None:
    assert _allowed(state=State.STOPPED) == {Action.START, Action.SET_TIMEOUT, Action.DELETE}


def test_of_what_does_not_answer_only_deletion_is_accepted() -> None:
    for state in (State.RUNNING, State.PAUSED):
        assert shown_state(a_sandbox(state=state, reachable=False)) == UNREACHABLE
        assert _allowed(state=state, reachable=False) == {Action.DELETE}
    assert shown_state(a_sandbox(state=State.FAILED, reachable=False)) is State.FAILED


@pytest.mark.parametrize("state", State)
def test_whatever_is_not_allowed_says_why(state: State) -> None:
    for entry in allowed_actions(a_sandbox(state=state)):
        assert (entry.reason is None) == entry.allowed


@pytest.mark.parametrize("state", State)
def test_another_teams_sandbox_is_only_looked_at(state: State) -> None:
    entries = allowed_actions(a_sandbox(state=state), foreign=True)
    assert {entry.action for entry in entries} == set(Action)
    assert {(entry.allowed, entry.reason) for entry in entries} == {
        (False, "The sandbox belongs to another team; only that team can do this.")
    }


def test_nothing_is_left_to_do_with_what_is_deleted() -> None:
    assert _allowed(state=State.DELETED) == set()

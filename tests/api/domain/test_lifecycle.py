"""The table of moves, and what is said about states beside it."""

from itertools import product

import pytest

from api.domain.sandbox import (
    MOVES,
    TERMINAL,
    TRANSITIONAL,
    Action,
    Cause,
    Owner,
    State,
    accepted_in,
    deadline_of,
    refusal,
    sources,
)


@pytest.mark.parametrize(("target", "owner"), list(product(State, Owner)))
def test_sources_are_exactly_the_moves(target: State, owner: Owner) -> None:
    assert sources(target, owner) == {move.source for move in MOVES if (move.target, move.owner) == (target, owner)}


def test_every_move_has_causes_and_every_cause_a_move() -> None:
    assert all(MOVES.values())
    assert set().union(*MOVES.values()) == set(Cause)
    for target, owner, cause in product(State, Owner, Cause):
        expected = {move.source for move, causes in MOVES.items() if move[1:] == (target, owner) and cause in causes}
        assert sources(target, owner, cause) == expected


def test_no_move_leaves_a_terminal_state_or_stays_where_it_is() -> None:
    assert not {move for move in MOVES if move.source in TERMINAL or move.source is move.target}


def test_every_state_can_be_reached_and_deleted() -> None:
    reached = {State.PENDING}
    while more := {move.target for move in MOVES if move.source in reached} - reached:
        reached |= more
    assert reached == set(State)
    assert sources(State.DELETING, Owner.API) == set(State) - {State.DELETING, State.DELETED}


@pytest.mark.parametrize("state", State)
def test_a_state_has_a_deadline_exactly_when_it_ends_by_itself(state: State) -> None:
    assert (deadline_of(state) is not None) == (state in TRANSITIONAL)


@pytest.mark.parametrize("state", sorted(TRANSITIONAL))
def test_a_transitional_state_can_be_ended_by_the_host(state: State) -> None:
    assert {move for move in MOVES if move.source is state and move.owner is Owner.HOST}


@pytest.mark.parametrize(("action", "state"), list(product(Action, State)))
def test_a_refusal_is_a_sentence_exactly_where_an_action_is_not_accepted(action: Action, state: State) -> None:
    reason = refusal(action, state)
    assert (reason is None) == (state in accepted_in(action))
    assert reason is None or (reason.startswith("The sandbox ") and reason.endswith("."))

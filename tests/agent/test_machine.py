import itertools

import pytest

from agent.adoption import UNFINISHED, Step, plan
from agent.machine import MOVES, CommandKind, Machine, State, Verdict, judge
from tests.agent.test_ledger import a_machine

CREATE, PAUSE, RESUME, DESTROY = CommandKind.CREATE, CommandKind.PAUSE, CommandKind.RESUME, CommandKind.DESTROY
START = CommandKind.START


def at(state: State, generation: int = 5, command: CommandKind = CREATE) -> Machine:
    return a_machine(state=state, generation=generation, command=command)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", CommandKind)
def test_an_older_generation_is_stale_in_every_state(state: State, kind: CommandKind) -> None:
    assert judge(at(state), kind, 4) is Verdict.STALE


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", CommandKind)
def test_a_generation_belongs_to_one_command(state: State, kind: CommandKind) -> None:
    for other in set(CommandKind) - {kind}:
        assert judge(at(state, command=kind), other, 5) is Verdict.OTHER_COMMAND


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", [CREATE, PAUSE, RESUME])
def test_the_same_command_is_answered_again_in_every_state(state: State, kind: CommandKind) -> None:
    assert judge(at(state, command=kind), kind, 5) is Verdict.REPEAT


def test_a_delete_that_did_not_come_to_its_end_is_done_again() -> None:
    assert judge(at(State.DELETING, command=DESTROY), DESTROY, 5) is Verdict.OBEY
    assert judge(at(State.DELETED, command=DESTROY), DESTROY, 5) is Verdict.REPEAT


@pytest.mark.parametrize("state", State)
def test_newer_commands_are_obeyed_only_where_they_make_sense(state: State) -> None:
    expected = {
        CREATE: {},
        PAUSE: {State.RUNNING: Verdict.OBEY, State.PAUSED: Verdict.ALREADY},
        RESUME: {State.PAUSED: Verdict.OBEY, State.RUNNING: Verdict.ALREADY},
        START: {State.STOPPED: Verdict.OBEY, State.RUNNING: Verdict.ALREADY},
        DESTROY: dict.fromkeys(State, Verdict.OBEY) | {State.DELETED: Verdict.ALREADY},
    }
    for kind, verdicts in expected.items():
        gone = state is State.DELETED and kind is not CREATE
        otherwise = Verdict.UNKNOWN if gone else Verdict.WRONG_STATE
        assert judge(at(state), kind, 6) is verdicts.get(state, otherwise)


def test_an_unknown_sandbox_can_be_made_or_deleted() -> None:
    verdicts = [judge(None, kind, 1) for kind in (CREATE, PAUSE, RESUME, DESTROY)]
    assert verdicts == [Verdict.OBEY, Verdict.UNKNOWN, Verdict.UNKNOWN, Verdict.OBEY]


def test_every_state_can_be_left_but_the_last() -> None:
    assert {source for source, _ in MOVES if source is not None} == set(State) - {State.DELETED}


def test_every_unfinished_state_has_a_plan_that_is_a_move() -> None:
    ends = {
        Step.CARRY_ON: State.RUNNING,
        Step.STOPPED: State.STOPPED,
        Step.PAUSED: State.PAUSED,
        Step.ROLL_BACK: State.FAILED,
        Step.DELETE: State.DELETED,
    }
    for state, command in itertools.product(UNFINISHED, CommandKind):
        for runs, is_paused in ((True, False), (False, True), (False, False)):
            end = ends[plan(state, command, runs=runs, is_paused=is_paused)]
            assert end is state or (state, end) in MOVES


def test_a_disk_that_was_there_before_a_start_is_kept() -> None:
    assert plan(State.STARTING, START, runs=True, is_paused=False) is Step.STOPPED
    assert plan(State.STARTING, CREATE, runs=True, is_paused=False) is Step.ROLL_BACK


def test_a_machine_that_runs_is_never_given_up_for_a_pause_that_lies_there() -> None:
    assert plan(State.PAUSING, PAUSE, runs=True, is_paused=True) is Step.CARRY_ON
    assert plan(State.RUNNING, PAUSE, runs=False, is_paused=True) is Step.STOPPED
    assert plan(State.PAUSING, PAUSE, runs=False, is_paused=True) is Step.PAUSED
    assert plan(State.PAUSING, PAUSE, runs=False, is_paused=False) is Step.STOPPED


@pytest.mark.parametrize("state", sorted(set(State) - UNFINISHED))
def test_there_is_no_plan_where_nothing_is_half_done(state: State) -> None:
    with pytest.raises(ValueError, match="nothing is half done"):
        plan(state, CREATE, runs=False, is_paused=False)

import threading

import pytest

from nestbox.errors import Problem
from nestbox.setup.steps import Step, run_steps

DEADLINE_SECONDS = 10


def never() -> None:
    raise AssertionError("must not be called")


def test_a_step_comes_after_those_it_needs() -> None:
    order: list[str] = []
    steps = [
        Step("image", lambda: order.append("image"), after=("packages", "python")),
        Step("packages", lambda: order.append("packages")),
        Step("python", lambda: order.append("python"), after=("packages",)),
    ]
    run_steps(steps, on_failure=never)
    assert order == ["packages", "python", "image"]


def test_what_is_not_planned_is_done_already() -> None:
    order: list[str] = []
    run_steps([Step("image", lambda: order.append("image"), after=("packages",))], on_failure=never)
    assert order == ["image"]


def test_independent_steps_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=DEADLINE_SECONDS)

    def meet() -> None:
        meeting.wait()

    run_steps([Step("a", meet), Step("b", meet)], on_failure=never)


def test_a_failure_ends_the_others_and_starts_no_more() -> None:
    ended = threading.Event()
    started: list[str] = []

    def fail() -> None:
        raise Problem("it cannot be had")

    def last_until_ended() -> None:
        assert ended.wait(DEADLINE_SECONDS)
        raise Problem("it was ended")

    steps = [
        Step("bad", fail),
        Step("long", last_until_ended),
        Step("later", lambda: started.append("later"), after=("bad",)),
    ]
    with pytest.raises(Problem, match="cannot be had"):
        run_steps(steps, on_failure=ended.set)
    assert started == []


def test_steps_that_wait_for_each_other_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        run_steps([Step("a", never, after=("b",)), Step("b", never, after=("a",))], on_failure=lambda: None)


def test_nothing_to_do_is_done() -> None:
    run_steps([], on_failure=never)

"""How many clones are kept: by what was asked for, and by what there may be."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.qemu.demand import READY_MIN, REMEMBERED_SECONDS, WINDOW_SECONDS, Demand, shares

NOW = 10_000.0


def asked(*seconds_ago: float, is_default: bool = False) -> Demand:
    return Demand(is_default, deque(sorted(NOW - seconds for seconds in seconds_ago)))


def test_the_busiest_moment_counts_and_is_forgotten() -> None:
    burst = asked(*(100 + number for number in range(5)), 1)
    assert burst.wanted(NOW) == 5
    assert burst.wanted(NOW + REMEMBERED_SECONDS) == 0
    spread = asked(*(number * (WINDOW_SECONDS + 1) for number in range(9)))
    assert spread.wanted(NOW) == 0, "one at a time, and each of them could have been the last"


def test_the_default_is_kept_from_the_beginning() -> None:
    assert Demand(is_default=True).wanted(NOW) == READY_MIN
    assert Demand().wanted(NOW) == 0


def test_nobody_gets_all_while_others_want_some() -> None:
    demands = {"busy": asked(*(20 + number / 10 for number in range(20))), "later": asked(1, 1, 1)}
    assert shares(demands, NOW, 8) == {"busy": 5, "later": 3}
    assert shares(demands, NOW, 1) == {"busy": 0, "later": 1}, "whoever asked last"
    assert shares(demands, NOW, 0) == {"busy": 0, "later": 0}
    assert shares(demands, NOW, -3) == {"busy": 0, "later": 0}
    assert shares({}, NOW, 8) == {}


@given(st.lists(st.lists(st.floats(0, 400), max_size=20), max_size=5), st.integers(-1, 30))
def test_there_are_never_more_than_there_may_be_or_than_are_wanted(times: list[list[float]], most: int) -> None:
    demands = {str(number): asked(*seconds) for number, seconds in enumerate(times)}
    given_ = shares(demands, NOW, most)
    wanted = {name: demand.wanted(NOW) for name, demand in demands.items()}
    assert given_.keys() == demands.keys()
    assert sum(given_.values()) == min(max(most, 0), sum(wanted.values()))
    assert all(given_[name] <= wanted[name] for name in demands)

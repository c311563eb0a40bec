"""How many clones of which image the pool keeps. Pure: `now` is on a clock that never goes back, in seconds.

Of every image as many are wanted as were asked for in the busiest `WINDOW_SECONDS` of the last `REMEMBERED_SECONDS`, of
the default image `READY_MIN` at least. Where that is more than there may be, every image gets one after the other, the
one that was asked for last before the others.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

READY_MIN = 2
"""Of the default image, if the pool is on: enough for a person who tries it."""
WINDOW_SECONDS = 10.0
REMEMBERED_SECONDS = 300.0
ASKED_MAX = 4096  # moments kept of one image: 14 a second


@dataclass(slots=True)
class Demand:
    """When clones of one image were asked for."""

    is_default: bool = False
    asked: deque[float] = field(default_factory=lambda: deque(maxlen=ASKED_MAX))

    def wanted(self, now: float) -> int:
        """How many would have been enough."""
        while self.asked and now - self.asked[0] > REMEMBERED_SECONDS:
            self.asked.popleft()
        most, begin, times = 0, 0, tuple(self.asked)
        for end, at in enumerate(times):
            while at - times[begin] > WINDOW_SECONDS:
                begin += 1
            most = max(most, end - begin + 1)
        # one that was asked for once may never be asked for again
        return max(READY_MIN if self.is_default else 0, most if most > 1 else 0)

    @property
    def last(self) -> float:
        """When it was asked for last."""
        return self.asked[-1] if self.asked else float("-inf")


def shares(demands: Mapping[str, Demand], now: float, most: int) -> dict[str, int]:
    """How many of each there are to be, `most` altogether."""
    wanted = {name: demand.wanted(now) for name, demand in demands.items()}
    order = sorted(demands, key=lambda name: demands[name].last, reverse=True)
    given = dict.fromkeys(demands, 0)
    while most > 0 and (lacking := [name for name in order if given[name] < wanted[name]]):
        for name in lacking[:most]:
            given[name] += 1
        most -= len(lacking[:most])
    return given

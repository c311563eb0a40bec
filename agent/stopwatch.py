"""How long the stages of a command take."""

import time
from collections.abc import Callable

from agent.machine import Stage


class Stopwatch:
    """The stages of one command."""

    def __init__(self, queued_since: float, reach: Callable[[str], None]) -> None:
        """`queued_since` is on the clock of `time.perf_counter`; `reach` is called with each step that is reached."""
        self.reach = reach
        now = time.perf_counter()
        self._last = now
        self._stages = [Stage("queue", int((now - queued_since) * 1_000_000))]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those that ended so far."""
        return tuple(self._stages)

    def dequeued(self) -> None:
        """Until now it waited for its turn; nothing was marked yet."""
        now = time.perf_counter()
        waited = self._stages[0].duration_us + int((now - self._last) * 1_000_000)
        self._stages[0] = Stage("queue", waited)
        self._last = now

    def mark(self, name: str) -> None:
        """The end of a stage."""
        now = time.perf_counter()
        self._stages.append(Stage(name, int((now - self._last) * 1_000_000)))
        self._last = now
        self.reach(name)

    def concluding(self) -> None:
        """What was to be done is done, or undone, and is about to be recorded."""
        self.reach("conclude")

"""An event loop whose time passes only when nothing else is left to do: a minute of silence costs nothing, and what
waits for ever is found at once."""

import asyncio
import contextlib
import selectors
from collections.abc import Callable

from agent.link import clock as link_clock

LOOKS_MAX = 200_000
"""At the sockets, in one scene. More than a hundred times what the longest takes."""
_TICK_SECONDS = 1e-6
EPOCH_NS = 1_700_000_000 * 10**9
"""What time of day it is when a scene begins."""


class Hang(Exception):
    """Somebody waits for what will never happen, or goes round for ever."""


class _Selector(selectors.DefaultSelector):
    """Never sleeps: moves the clock on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.looks = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.looks += 1
        if self.looks > LOOKS_MAX:
            raise Hang(f"no end after {LOOKS_MAX} rounds of the loop")
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Hang("a task waits, and nothing will ever wake it")
            self.now += max(0.0, timeout)
        return ready


class Loop(asyncio.SelectorEventLoop):
    """Beside the clock it keeps what asyncio would only log: an exception that nobody caught."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)
        self.uncaught: list[str] = []
        self.set_exception_handler(self._keep)

    def time(self) -> float:
        return self._clock.now

    def unix_ns(self) -> int:
        """The time of day that the link believes."""
        return EPOCH_NS + round(self._clock.now * 1e9)

    def wind_up(self) -> None:
        """Closes it, after everybody who is left was stopped."""
        self._clock.looks = 0
        for task in asyncio.all_tasks(self):
            task.cancel()
        with contextlib.suppress(Hang):
            self.run_until_complete(settled())
        self.close()

    def _keep(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.uncaught.append(f"{context.get('message')}: {context.get('exception')!r}")


class _Time:
    """Stands for the module `time` where the link reads the clock of the host."""

    def __init__(self, time_ns: Callable[[], int]) -> None:
        self.time_ns = time_ns


def rule_the_clock(loop: Loop) -> Callable[[], None]:
    """Gives the link the clock of `loop`. Returns what undoes it."""
    real = vars(link_clock)["time"]
    setattr(link_clock, "time", _Time(loop.unix_ns))  # noqa: B010 - mypy rightly refuses the plain way
    return lambda: setattr(link_clock, "time", real)


async def settled() -> None:
    """Returns when everybody has done what can be done now."""
    await asyncio.sleep(_TICK_SECONDS)  # not a wait: the clock moves when all is done


async def passed(seconds: float) -> None:
    """Lets time pass."""
    await asyncio.sleep(seconds)  # not a wait: the clock is ours

"""How long nothing has happened in a machine. Pure but for the clock that it is given."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

BACK_OFF_SECONDS = 30.0
BACK_OFF_SECONDS_MAX = 600.0
"""After an idle pause that failed (the disk is full, say): it is tried again after the first, then after twice that,
up to the second."""


class IdleTimer:
    """Of one sandbox. On the monotonic clock: the host's time of day may jump without pausing anybody."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        self._clock = clock
        self.users = 0
        """Commands and transfers that run in it now."""
        self._failures = 0
        self._since = self._not_before = clock()

    def begin(self) -> None:
        """A machine has begun to run, or was taken over from an earlier agent: it has its whole timeout before it."""
        self._failures = 0
        self._since = self._not_before = self._clock()

    def touch(self) -> None:
        """Something happened."""
        self._since = self._clock()

    @contextmanager
    def use(self) -> Iterator[None]:
        """Something is happening until the end of the block."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1
            self.touch()

    def failed(self) -> None:
        """The idle pause failed."""
        wait = min(BACK_OFF_SECONDS * 2**self._failures, BACK_OFF_SECONDS_MAX)
        self._failures = min(self._failures + 1, 16)
        self._not_before = self._clock() + wait

    def remaining(self, timeout_sec: int) -> float | None:
        """Seconds until it is to be paused, not below 0; None: never, or not while it is in use."""
        if timeout_sec == 0 or self.users:
            return None
        return max(self._since + timeout_sec, self._not_before, now := self._clock()) - now

    def expired(self, timeout_sec: int) -> bool:
        """Whether it is to be paused now."""
        return self.remaining(timeout_sec) == 0

"""How long things have been as they are, whatever the time of day does."""

from collections.abc import Hashable, Mapping
from uuid import UUID

from api.clock import Clock


class Ages:
    """Rows tell the time of day at which they were written, and a clock that is set makes them young or old at will. So
    a replica counts from when it saw a thing first, on its monotonic clock: after it starts, everything is new to it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[UUID, tuple[Hashable, float]] = {}

    def of(self, things: Mapping[UUID, Hashable], at: float) -> dict[UUID, float]:
        """For how many seconds each of them has been as it is, up to `at`; what is not given is forgotten.

        `things` are looks: a thing that looks otherwise than the last time is new. `at` is a moment on the monotonic
        clock from before they were read, so that no age is too high, however long the reading took.
        """
        now = self._clock.monotonic()
        before = self._since
        self._since = {
            key: known if (known := before.get(key)) is not None and known[0] == look else (look, now)
            for key, look in things.items()
        }
        return {key: max(0.0, at - since) for key, (_, since) in self._since.items()}

    def forget(self) -> None:
        """Everything is new from now on: somebody else has looked meanwhile."""
        self._since.clear()

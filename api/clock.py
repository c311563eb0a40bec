"""The only clock of the control plane, so that a test can set it."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """An aware datetime in UTC: for what is kept. It may jump."""

    def monotonic(self) -> float:
        """Seconds since some moment: for how long things last. It never jumps."""


class SystemClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """The time of day, as the computer has it."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since the computer started, or some such moment."""
        return time.monotonic()

"""The only clock of the control plane, so that a test can set it."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; aware datetimes in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The computer's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

"""Named places where a test can make the control plane fail: between any two steps of any command.

In production there is nothing here: `NO_FAULTS`. The setting `NESTBOX_API_FAULTS` arms some of the `POINTS`, as JSON:
`{"api.pause.called": "kill"}`. Each fires once, and says so on standard error before it acts.

A point is named `api.<command>.<step>`. The steps: `committed`, the transaction that accepts the command is over and
the host was not called; `called`, the host has answered and nothing of that is written; `recorded`, it is written and
nobody was told.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from enum import StrEnum

import structlog

_log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """What happens at a point."""

    RAISE = "raise"
    """The step fails in a way that nobody has foreseen."""
    CANCEL = "cancel"
    """The task that carries the command out is cancelled."""
    KILL = "kill"
    """The replica is killed with signal 9."""
    TWICE = "twice"
    """The command goes on, and is carried out once more when it is done."""


COMMANDS = (
    "create",
    "start",
    "pause",
    "resume",
    "delete",
    "set_timeout",
    "create_template",
    "fork",
    "delete_template",
)
STEPS = ("committed", "called", "recorded")
POINTS: tuple[str, ...] = tuple(f"api.{command}.{step}" for command in COMMANDS for step in STEPS)
"""All of them."""


class InjectedFault(RuntimeError):
    """What `RAISE` raises."""


class Faults:
    """None at all: every point is passed."""

    def reach(self, point: str) -> None:
        """A command has come to a point."""

    def take_again(self) -> bool:
        """Whether the command that was just carried out is to be carried out again."""
        return False


NO_FAULTS = Faults()


class ArmedFaults(Faults):
    """For tests only."""

    def __init__(self, armed: Mapping[str, Kind]) -> None:
        """Raises: ValueError for a point that is not there."""
        if unknown := set(armed) - set(POINTS):
            raise ValueError(f"no such points: {', '.join(sorted(unknown))}")
        self._armed = dict(armed)
        self._again = False

    def take_again(self) -> bool:
        """Once for each `TWICE` that has fired."""
        again, self._again = self._again, False
        return again

    def reach(self, point: str) -> None:
        """If it is armed, it fires, once."""
        kind = self._armed.pop(point, None)
        if kind is None:
            return
        _log.warning("fault fired", point=point, kind=kind.value)
        match kind:
            case Kind.RAISE:
                raise InjectedFault(f"A fault was injected at {point}.")
            case Kind.CANCEL:
                raise asyncio.CancelledError(point)
            case Kind.KILL:
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            case Kind.TWICE:
                self._again = True


def armed(settings: Mapping[str, str]) -> Faults:
    """What the setting says. Raises: ValueError."""
    return ArmedFaults({point: Kind(kind) for point, kind in settings.items()}) if settings else NO_FAULTS

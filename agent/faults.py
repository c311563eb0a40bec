"""Named places where a test can make the agent fail: between any two steps of any command.

In production there is nothing here: `NO_FAULTS`. The setting `NESTBOX_AGENT_FAULTS` arms some of the `POINTS`, as JSON:
`{"agent.pause.save": "kill"}`. Each fires once, and says so on standard error before it acts.

A point is named `agent.<command>.<step>`. The steps: `begin`, before anything is recorded; `record`, the intent is in
the ledger; the stages of the driver, each once it is over (`agent/drivers/driver.py`); `conclude`, before the outcome
is written; `done`, it is written and nobody was told.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum

import structlog

_log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """What happens at a point."""

    RAISE = "raise"
    """The step fails as for an input/output error."""
    CANCEL = "cancel"
    """What the step waits for is cancelled."""
    KILL = "kill"
    """The agent is killed with signal 9."""
    TWICE = "twice"
    """The command goes on, and comes once more when it is done, as if its message had been delivered twice."""


_DRIVER_STEPS: dict[str, tuple[str, ...]] = {
    "create": ("image", "disk", "spawn", "restore", "guest"),
    "pause": ("stop", "save", "sync", "release"),
    "auto_pause": ("stop", "save", "sync", "release"),
    "resume": ("verify", "spawn", "restore", "guest"),
    "start": ("image", "spawn", "guest"),
    "snapshot": ("stop", "save", "layer", "continue", "sync"),
    "fork": ("stop", "save", "layer", "continue", "sync"),
    "destroy": ("kill", "remove"),
}

POINTS: tuple[str, ...] = (
    *(
        f"agent.{command}.{step}"
        for command, steps in _DRIVER_STEPS.items()
        for step in ("begin", "record", *steps, "conclude", "done")
    ),
    *(f"agent.build_template.{step}" for step in ("begin", "build", "conclude", "done")),
    *(f"agent.delete_template.{step}" for step in ("begin", "record", "remove", "conclude", "done")),
)
"""All of them. `kill` of a destroy is reached only if a machine runs."""


class InjectedFault(OSError):
    """What `RAISE` raises."""


class Faults:
    """None at all: every point is passed."""

    def steps(self, command: str) -> Callable[[str], None]:
        """What a command calls with the name of each of its steps."""
        del command
        return _pass

    def take_again(self) -> bool:
        """Whether the command that was just done is to be done again."""
        return False


def _pass(step: str) -> None:
    del step


NO_FAULTS = Faults()


class ArmedFaults(Faults):
    """For tests only."""

    def __init__(self, armed: Mapping[str, Kind]) -> None:
        """Raises: ValueError for a point that is not there."""
        if unknown := set(armed) - set(POINTS):
            raise ValueError(f"no such points: {', '.join(sorted(unknown))}")
        self._armed = dict(armed)
        self._again = False

    def steps(self, command: str) -> Callable[[str], None]:
        """Each step that is armed fires, once."""
        return lambda step: self._reach(f"agent.{command}.{step}")

    def take_again(self) -> bool:
        """Once for each `TWICE` that has fired."""
        again, self._again = self._again, False
        return again

    def _reach(self, point: str) -> None:
        kind = self._armed.pop(point, None)
        if kind is None:
            return
        _log.warning("fault fired", point=point, kind=kind.value)
        match kind:
            case Kind.RAISE:
                raise InjectedFault(5, f"A fault was injected at {point}.")
            case Kind.CANCEL:
                raise asyncio.CancelledError(point)
            case Kind.KILL:
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            case Kind.TWICE:
                self._again = True

"""What can be made to go wrong in the simulated driver, at which stage, and how long the stages take.

Stages are named `<step>.<stage>` as in `agent/drivers/driver.py`, for the steps of `STAGES` below; the other points are
`prepare`, `exec`, `ping`, `kill`, `remove`, `adopt`, `make_template`, `remove_template` and `drop_snapshot`.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.drivers.driver import Death
from agent.errors import AgentError

STAGES: dict[str, tuple[str, ...]] = {
    "start": ("image", "disk", "spawn", "restore", "guest"),
    "pause": ("stop", "save", "sync", "release"),
    "resume": ("verify", "spawn", "restore", "guest"),
    "boot": ("image", "spawn", "guest"),
    "snapshot": ("stop", "save", "layer", "continue", "sync"),
}
"""The stages of the steps that have several."""

POINTS = frozenset(
    {f"{step}.{stage}" for step, stages in STAGES.items() for stage in stages}
    | {"prepare", "exec", "ping", "kill", "remove", "adopt", "make_template", "remove_template", "drop_snapshot"}
)
"""All places where a fault can strike."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The stage raises this."""

    error: AgentError


@dataclass(frozen=True, slots=True)
class Die:
    """The machine dies in this stage."""

    death: Death


@dataclass(slots=True)
class Hang:
    """The stage waits until it is released. `reached` is set when it does."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


Fault = Fail | Die | Hang


class Faults:
    """Faults that wait to strike, each once, and those that did; `latency_seconds` by point, 0 where none is given."""

    def __init__(self, latency_seconds: Mapping[str, float] | None = None) -> None:
        self.fired: list[tuple[str, Fault]] = []
        self._latency_seconds = dict(latency_seconds or {})
        self._waiting: dict[str, deque[Fault]] = {}

    def inject(self, point: str, fault: Fault) -> None:
        """The next machine that comes to this point meets the fault."""
        if point not in POINTS:
            raise ValueError(f"there is no point {point}")
        self._waiting.setdefault(point, deque()).append(fault)

    @property
    def unfired(self) -> int:
        """Faults that no machine has met yet: a test whose faults never struck has shown nothing."""
        return sum(len(faults) for faults in self._waiting.values())

    async def strike(self, point: str) -> Death | None:
        """Takes the stage's time and meets its fault, if there is one; the death if the machine dies of it.

        Raises: AgentError, the fault's.
        """
        # Even one that takes no time can be cancelled here.
        await asyncio.sleep(self._latency_seconds.get(point, 0.0))
        faults = self._waiting.get(point)
        if not faults:
            return None
        fault = faults.popleft()
        self.fired.append((point, fault))
        match fault:
            case Fail():
                raise fault.error
            case Die():
                return fault.death
            case Hang():
                fault.reached.set()
                await fault.released.wait()
                return None

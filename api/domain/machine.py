"""Machines as hosts report them."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from api.domain.operation import Stage
from api.domain.sandbox import Cause, State


@dataclass(frozen=True, slots=True)
class Machine:
    """One entry of a host's inventory. `sequence` grows with every change on that host; `generation` is the newest
    that the host accepted for this sandbox; `stages` are those of the last command.
    `auto_pause_at` is when it is paused if it is not used until then; `cluster_id` the control plane that had it made,
    None if the host cannot say."""

    sandbox_id: UUID
    incarnation: UUID | None
    generation: int
    state: State
    sequence: int
    cause: Cause
    detail: str
    changed_at: datetime | None
    last_active_at: datetime | None
    stages: tuple[Stage, ...] = field(default=())
    timeout_sec: int = 0
    auto_pause_at: datetime | None = None
    cluster_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """All machines of a host; `sequence` is the host's when the list was taken. `unreadable` are the wire ids of those
    that it reported in a way that this version does not understand."""

    machines: tuple[Machine, ...]
    sequence: int
    agent_incarnation: str
    unreadable: frozenset[str] = frozenset()

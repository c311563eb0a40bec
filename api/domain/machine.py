"""Machines and templates as hosts report them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from api.domain.operation import Stage
from api.domain.sandbox import Cause, State

WAITS_FOR_ROOM = "It stands still until there is room on its host's disk, and goes on by itself then."
"""What is told of a sandbox that waits for room."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One entry of a host's inventory. `sequence` grows with every change on that host; `generation` is the newest
    that the host accepted for this sandbox; `stages` are those of the last command.
    `auto_pause_at` is when it is paused if it is not used until then; `cluster_id` the control plane that had it made,
    None if the host cannot say. It `waits_for_room` if it runs but stands still because its host's disk is full."""

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
    stored_bytes: int = 0
    cluster_id: UUID | None = None
    waits_for_room: bool = False


class HeldState(StrEnum):
    """How far a template is on one host."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class HeldTemplate:
    """A template that was made of a sandbox, as the host that made it reports it; `sequence` is the host's, as of
    machines. `error_code` and `detail` say why it failed, `stored_bytes` are blocks on its disk. MB means MiB."""

    template_id: UUID
    state: HeldState
    sequence: int
    cluster_id: str
    sandbox_id: UUID | None
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    stored_bytes: int
    progress_percent: int
    error_code: str
    detail: str
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """All machines and templates of a host; `sequence` is the host's when the list was taken. `unreadable` are the wire
    ids of those that it reported in a way that this version does not understand."""

    machines: tuple[Machine, ...]
    sequence: int
    agent_incarnation: str
    unreadable: frozenset[str] = frozenset()
    templates: tuple[HeldTemplate, ...] = ()

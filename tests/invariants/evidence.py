"""What is known of a platform from all sides, as plain values: rows, log, inventories, what lies and runs on hosts."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from api.domain.machine import HeldState
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import Cause, Goal, State
from api.domain.template import TemplateState


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A row."""

    id: UUID
    team_id: UUID
    host_id: UUID | None
    state: State
    goal: Goal
    cause: Cause
    generation: int
    observed_generation: int
    sequence: int
    version: int
    incarnation: UUID | None = None
    state_deadline_at: datetime | None = None
    template_id: UUID | None = None
    fork_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A row of one that was made of a sandbox. `hosts` are those that hold it, as far as the database knows."""

    id: UUID
    state: TemplateState
    hosts: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class HeldTemplate:
    """What a host says of a template."""

    host_id: UUID
    template_id: UUID
    state: HeldState


@dataclass(frozen=True, slots=True)
class Operation:
    """An accepted command."""

    id: UUID
    team_id: UUID
    sandbox_id: UUID | None
    kind: OperationKind
    state: OperationState
    generation: int
    idempotency_key: str | None = None
    error_code: str | None = None
    template_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the log."""

    id: int
    sandbox_id: UUID
    kind: str
    actor: str
    before: dict[str, Any]
    after: dict[str, Any]
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What a host says of a sandbox."""

    host_id: UUID
    sandbox_id: UUID
    state: State
    generation: int
    sequence: int
    incarnation: UUID | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies and runs on a host for one sandbox, found without asking the agent. `live` names what runs: an
    incarnation where it can be told, else a process."""

    host_id: UUID
    sandbox_id: UUID
    live: tuple[str, ...] = ()
    saved: bool = False
    has_disk: bool = True


@dataclass(slots=True)
class Promises:
    """What clients were told, and what they saw; filled while a test runs."""

    created: set[UUID] = field(default_factory=set)
    """Sandboxes of which a client was given the id."""
    deleted: set[UUID] = field(default_factory=set)
    """Sandboxes of which a client was told that they are deleted."""
    by_key: dict[tuple[UUID, str], set[UUID]] = field(default_factory=dict)
    """By team and idempotency key of creates: the sandboxes that were answered."""
    seen_versions: dict[UUID, list[int]] = field(default_factory=dict)
    """By sandbox: the versions that a subscriber saw, in its order."""

    def answered(self, team_id: UUID, key: str, sandbox_id: UUID) -> None:
        """A create was answered."""
        self.created.add(sandbox_id)
        self.by_key.setdefault((team_id, key), set()).add(sandbox_id)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything, once nothing is under way any more."""

    sandboxes: tuple[Sandbox, ...] = ()
    operations: tuple[Operation, ...] = ()
    events: tuple[Event, ...] = ()
    machines: tuple[Machine, ...] = ()
    kept: tuple[Kept, ...] = ()
    templates: tuple[Template, ...] = ()
    held_templates: tuple[HeldTemplate, ...] = ()
    machines_running: dict[UUID, int] = field(default_factory=dict)
    """By host that answers: how many machines run, as it says itself."""
    stale_obeyed: tuple[UUID, ...] = ()
    """Sandboxes whose host did not refuse an older generation."""
    promises: Promises = field(default_factory=Promises)


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant of the list in `tests/invariants/checker.py` that does not hold."""

    invariant: int
    sandbox_id: UUID | None
    what: str

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.what} ({self.sandbox_id})"

"""What is known of one sandbox."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from api.domain.operation import Operation
from api.domain.sandbox.creation import Shape
from api.domain.sandbox.lifecycle import NEEDS_HOST, Cause, Goal, State
from api.domain.template import Template

UNREACHABLE: Literal["unreachable"] = "unreachable"
"""Shown in place of the state while the host does not answer; never stored."""

ShownState = State | Literal["unreachable"]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox as the database has it, with its template and, when asked for, its newest operation.

    `version` is 1 when it is made and grows by one with every change that a user can see; of two records of one
    sandbox the one with the higher version is the newer. `detail` is a sentence for people about how it got into
    its state. `auto_pause_at` is when its host pauses it if it is not used until then: None if it never does, or does
    not run, or is in use now. `parent_id` is the sandbox that it was forked from, `fork_id` the operation that did it;
    `stored_bytes` are the blocks that it takes on its host's disk, some seconds old. MB means MiB.
    """

    id: UUID
    team_id: UUID
    template_id: UUID
    template: Template
    host_id: UUID | None
    name: str
    labels: dict[str, str]
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    timeout_sec: int
    goal: Goal
    generation: int
    state: State
    cause: Cause
    detail: str
    sequence: int
    last_active_at: datetime | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    version: int
    reachable: bool
    auto_resume: bool = False
    auto_pause_at: datetime | None = None
    parent_id: UUID | None = None
    fork_id: UUID | None = None
    stored_bytes: int = 0
    last_operation: Operation | None = None

    @property
    def shape(self) -> Shape:
        """What it has of its host when it runs, and of its disk."""
        return Shape(self.vcpus, self.memory_mb, self.disk_size_mb)


def shown_state(sandbox: Sandbox) -> ShownState:
    """The state that a user sees: what is stored, unless the host does not answer and the state depends on it."""
    if not sandbox.reachable and sandbox.state in NEEDS_HOST:
        return UNREACHABLE
    return sandbox.state

"""Operations: accepted commands, and what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class OperationKind(StrEnum):
    """What was asked for."""

    CREATE = "create"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    DELETE = "delete"
    CREATE_TEMPLATE = "create_template"
    """Outlives what it does to the sandbox: it ends when the template is complete, or cannot be."""
    FORK = "fork"
    """Ends when what the children begin from is kept; each of them has a create of its own."""
    DELETE_TEMPLATE = "delete_template"
    """Of a template only: it has no sandbox."""


class OperationState(StrEnum):
    """How far it is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


FINISHED = frozenset({OperationState.SUCCEEDED, OperationState.FAILED})
"""States that no operation leaves."""

ACHIEVED_BY: Mapping[str, frozenset[OperationKind]] = {
    "running": frozenset({OperationKind.CREATE, OperationKind.START, OperationKind.RESUME}),
    "paused": frozenset({OperationKind.PAUSE}),
    "deleted": frozenset({OperationKind.DELETE}),
}
"""By the state that a sandbox comes to: the commands that have thereby succeeded. Others have failed, if the state is
one that does not end by itself."""


ENDS_BY_ITSELF = frozenset({OperationKind.CREATE_TEMPLATE, OperationKind.FORK, OperationKind.DELETE_TEMPLATE})
"""Kinds that no report of their sandbox's machine ends, and no later command overtakes."""


class Stage(NamedTuple):
    """One step of an operation on the host and how long it took, in microseconds."""

    name: str
    duration_us: int


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Which operations; all that is given must hold."""

    team_id: UUID | None = None
    kind: OperationKind | None = None
    state: OperationState | None = None
    sandbox_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """An accepted command. The `error_*` fields are set when it failed; `error_message` is a sentence for the user.
    `template_id` is that of one that is made or deleted; `progress_percent`, 0 to 100, is known of long ones only."""

    id: UUID
    team_id: UUID
    sandbox_id: UUID | None
    kind: OperationKind
    state: OperationState
    actor: str
    generation: int
    stages: tuple[Stage, ...]
    error_code: str | None
    error_message: str | None
    error_retryable: bool
    created_at: datetime
    finished_at: datetime | None
    template_id: UUID | None = None
    progress_percent: int | None = None

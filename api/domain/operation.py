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


class Stage(NamedTuple):
    """One step of an operation on the host and how long it took, in microseconds."""

    name: str
    duration_us: int


@dataclass(frozen=True, slots=True)
class Operation:
    """An accepted command. The `error_*` fields are set when it failed; `error_message` is a sentence for the user."""

    id: UUID
    team_id: UUID
    sandbox_id: UUID
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

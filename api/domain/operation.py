"""Operations: accepted commands, and what became of them."""

from enum import StrEnum


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

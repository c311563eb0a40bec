"""What the agent refuses or fails at, each with the gRPC status that it is answered with."""

from enum import StrEnum

import grpc


class Code(StrEnum):
    """Stable reasons, sent as trailing metadata `nestbox-code`."""

    NO_SUCH_MACHINE = "NO_SUCH_MACHINE"
    STALE_GENERATION = "STALE_GENERATION"
    WRONG_STATE = "WRONG_STATE"
    BUSY = "BUSY"
    INVALID = "INVALID"
    UNKNOWN_TEMPLATE = "UNKNOWN_TEMPLATE"
    UNSUPPORTED_SHAPE = "UNSUPPORTED_SHAPE"
    NO_CAPACITY = "NO_CAPACITY"
    DISK_FULL = "DISK_FULL"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    START_FAILED = "START_FAILED"
    PAUSE_FAILED = "PAUSE_FAILED"
    IMAGE_MISMATCH = "IMAGE_MISMATCH"
    MACHINE_GONE = "MACHINE_GONE"
    GUEST_UNRESPONSIVE = "GUEST_UNRESPONSIVE"
    COMMAND_NOT_FOUND = "COMMAND_NOT_FOUND"
    COMMAND_NOT_EXECUTABLE = "COMMAND_NOT_EXECUTABLE"
    NO_SUCH_DIRECTORY = "NO_SUCH_DIRECTORY"
    NO_SUCH_FILE = "NO_SUCH_FILE"
    NOT_A_FILE = "NOT_A_FILE"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    GUEST_DISK_FULL = "GUEST_DISK_FULL"
    CUT_OFF = "CUT_OFF"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    INTERNAL = "INTERNAL"


_S = grpc.StatusCode
STATUS: dict[Code, grpc.StatusCode] = {
    Code.NO_SUCH_MACHINE: _S.NOT_FOUND,
    Code.STALE_GENERATION: _S.FAILED_PRECONDITION,
    Code.WRONG_STATE: _S.FAILED_PRECONDITION,
    Code.BUSY: _S.RESOURCE_EXHAUSTED,
    Code.INVALID: _S.INVALID_ARGUMENT,
    Code.UNKNOWN_TEMPLATE: _S.NOT_FOUND,
    Code.UNSUPPORTED_SHAPE: _S.INVALID_ARGUMENT,
    Code.NO_CAPACITY: _S.RESOURCE_EXHAUSTED,
    Code.DISK_FULL: _S.RESOURCE_EXHAUSTED,
    Code.SHUTTING_DOWN: _S.UNAVAILABLE,
    Code.START_FAILED: _S.ABORTED,
    Code.PAUSE_FAILED: _S.ABORTED,
    Code.IMAGE_MISMATCH: _S.FAILED_PRECONDITION,
    Code.MACHINE_GONE: _S.ABORTED,
    Code.GUEST_UNRESPONSIVE: _S.DEADLINE_EXCEEDED,
    Code.COMMAND_NOT_FOUND: _S.INVALID_ARGUMENT,
    Code.COMMAND_NOT_EXECUTABLE: _S.INVALID_ARGUMENT,
    Code.NO_SUCH_DIRECTORY: _S.INVALID_ARGUMENT,
    Code.NO_SUCH_FILE: _S.NOT_FOUND,
    Code.NOT_A_FILE: _S.INVALID_ARGUMENT,
    Code.PERMISSION_DENIED: _S.PERMISSION_DENIED,
    Code.GUEST_DISK_FULL: _S.RESOURCE_EXHAUSTED,
    Code.CUT_OFF: _S.CANCELLED,
    Code.UNAUTHENTICATED: _S.UNAUTHENTICATED,
    Code.INTERNAL: _S.INTERNAL,
}


class AgentError(Exception):
    """An answer that is not the one asked for: `code` for programs, `message` for people, `detail` for the log."""

    def __init__(self, code: Code, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail

"""What hosts answer with, in the words of the domain, and whether the answer is certain."""

import grpc

from api.errors import (
    Conflict,
    Forbidden,
    Internal,
    Invalid,
    NestboxError,
    NoCapacity,
    NotFound,
    Unavailable,
)

CODE_KEY = "nestbox-code"
"""Trailing metadata that holds the agent's own code."""

BY_CODE: dict[str, type[NestboxError]] = {
    "NO_SUCH_MACHINE": Conflict,
    "STALE_GENERATION": Conflict,
    "WRONG_STATE": Conflict,
    "BUSY": Unavailable,
    "INVALID": Invalid,
    "UNKNOWN_TEMPLATE": NotFound,
    "UNSUPPORTED_SHAPE": Invalid,
    "NO_CAPACITY": NoCapacity,
    "DISK_FULL": NoCapacity,
    "SHUTTING_DOWN": Unavailable,
    "START_FAILED": Unavailable,
    "PAUSE_FAILED": Unavailable,
    "SNAPSHOT_FAILED": Unavailable,
    "UNKNOWN_SNAPSHOT": Conflict,
    "TEMPLATE_IN_USE": Conflict,
    "IMAGE_MISMATCH": Conflict,
    "MACHINE_GONE": Conflict,
    "GUEST_UNRESPONSIVE": Unavailable,
    "COMMAND_NOT_FOUND": Invalid,
    "COMMAND_NOT_EXECUTABLE": Invalid,
    "NO_SUCH_DIRECTORY": Invalid,
    "NO_SUCH_FILE": NotFound,
    "NOT_A_FILE": Invalid,
    "PERMISSION_DENIED": Forbidden,
    "GUEST_DISK_FULL": NoCapacity,
}
"""Every code of the agent that is meant for a user; `UNAUTHENTICATED`, `CUT_OFF` and `INTERNAL` are not."""

_UNCERTAIN = frozenset({"STALE_GENERATION", "MACHINE_GONE", "GUEST_UNRESPONSIVE", "INTERNAL"})
"""Answers after which the machine may be in any state: its next report says in which."""


class HostCallError(Exception):
    """A call to a host did not do what was asked; `error` says so to the user."""

    def __init__(self, error: NestboxError) -> None:
        super().__init__(error.message)
        self.error = error


class Refused(HostCallError):
    """The host said no, and nothing has changed there."""


class OutcomeUnknown(HostCallError):
    """The host may have done it, or may still do it: a deadline, a lost connection, or a failure in the middle."""


def host_call_error(error: grpc.aio.AioRpcError) -> HostCallError:
    """What a failed call means."""
    code = _own_code(error)
    message = error.details() or "The host gave no reason."
    detail = f"{error.code().name} {code}: {message}"
    if code in BY_CODE:
        kind = OutcomeUnknown if code in _UNCERTAIN else Refused
        return kind(BY_CODE[code](message, code=code, detail=detail))
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.UNIMPLEMENTED:
            # answered before anything was done; the user can do nothing about it
            return Refused(
                Unavailable(
                    "The sandbox's host does not accept commands of this server.",
                    code="HOST_UNREACHABLE",
                    detail=detail,
                )
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return OutcomeUnknown(Unavailable("The host did not answer in time.", code="TIMEOUT", detail=detail))
        case grpc.StatusCode.UNAVAILABLE if "CERTIFICATE_VERIFY_FAILED" in message:
            return Refused(
                Unavailable(
                    "The sandbox's host cannot prove who it is: its certificate has expired, or is of another cluster.",
                    code="HOST_UNREACHABLE",
                    detail=detail,
                )
            )
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return OutcomeUnknown(
                Unavailable("The sandbox's host does not answer at the moment.", code="HOST_UNREACHABLE", detail=detail)
            )
        case grpc.StatusCode.INVALID_ARGUMENT:
            return Refused(Invalid("The host did not understand the request.", detail=detail))
        case _:
            return OutcomeUnknown(Internal("The host failed.", detail=detail))


def reported_error(code: str, message: str) -> NestboxError:
    """What a host reports of something that failed in the background."""
    kind = BY_CODE.get(code)
    if kind is None:
        return Unavailable(message or "The host could not do it.", code="SNAPSHOT_FAILED", detail=code)
    return kind(message or "The host could not do it.", code=code)


def _own_code(error: grpc.aio.AioRpcError) -> str:
    for key, value in error.trailing_metadata() or ():
        if key == CODE_KEY:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""

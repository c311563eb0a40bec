"""Errors as clients see them: `userErrors` in payloads, and codes of top-level errors.

What is wrong with the thing that was asked for is a `UserError`. Who is asking, limits and bugs are top-level errors.
"""

from enum import Enum

import strawberry
import structlog

from api.domain.operation import Operation
from api.errors import (
    Conflict,
    Forbidden,
    Internal,
    Invalid,
    MissingScope,
    NestboxError,
    NoCapacity,
    NotFound,
    TooMany,
    Unauthenticated,
    Unavailable,
)

_log = structlog.get_logger(__name__)


@strawberry.enum(
    description="Why something was refused or failed. New codes may be added; treat unknown ones by `retryable`."
)
class ErrorCode(Enum):
    INVALID = strawberry.enum_value("INVALID", description="The input can never be accepted as it is.")
    MALFORMED_ID = strawberry.enum_value("MALFORMED_ID", description="The text is not an id.")
    WRONG_KIND_OF_ID = strawberry.enum_value("WRONG_KIND_OF_ID", description="It is the id of another kind of thing.")
    NOT_FOUND = strawberry.enum_value("NOT_FOUND", description="There is no such thing, or it is another team's.")
    FORBIDDEN = strawberry.enum_value("FORBIDDEN", description="You may not do that.")
    WRONG_PASSWORD = strawberry.enum_value("WRONG_PASSWORD", description="The current password is another.")
    THROTTLED = strawberry.enum_value("THROTTLED", description="Tried too often in too short a time; wait a minute.")
    EMAIL_TAKEN = strawberry.enum_value("EMAIL_TAKEN", description="The email address has an account already.")
    ALREADY_MEMBER = strawberry.enum_value("ALREADY_MEMBER", description="The person is in the team already.")
    LAST_OWNER = strawberry.enum_value("LAST_OWNER", description="A team keeps one owner at least.")
    LAST_ADMIN = strawberry.enum_value("LAST_ADMIN", description="The platform keeps one admin at least.")
    LIMIT_REACHED = strawberry.enum_value("LIMIT_REACHED", description="There are as many of this as there can be.")
    CONFLICT = strawberry.enum_value("CONFLICT", description="The thing changed meanwhile, or something else holds it.")
    WRONG_STATE = strawberry.enum_value(
        "WRONG_STATE", description="The sandbox is in a state that does not allow this."
    )
    BUSY = strawberry.enum_value("BUSY", description="Too much is being done with this sandbox at once; try again.")
    IDEMPOTENCY_CONFLICT = strawberry.enum_value(
        "IDEMPOTENCY_CONFLICT", description="The idempotency key was used before with another input."
    )
    NO_AUTHORITY = strawberry.enum_value(
        "NO_AUTHORITY", description="This control plane has no certificate authority, so no host can join it."
    )
    HOST_KNOWN = strawberry.enum_value(
        "HOST_KNOWN", description="A host of this id is known, and the token was not made for it to join again."
    )
    HOST_NOT_JOINED = strawberry.enum_value(
        "HOST_NOT_JOINED", description="The settings name this host; only one that has joined can be removed."
    )
    NAME_TAKEN = strawberry.enum_value("NAME_TAKEN", description="Something of this kind already has this name.")
    TEMPLATE_NAME_TAKEN = strawberry.enum_value(
        "TEMPLATE_NAME_TAKEN", description="Your team has a template of this name, or is just making one."
    )
    TEMPLATE_NAME_RESERVED = strawberry.enum_value(
        "TEMPLATE_NAME_RESERVED", description="Only the platform may give this name to a template."
    )
    TEMPLATE_IN_USE = strawberry.enum_value(
        "TEMPLATE_IN_USE", description="Sandboxes stand on the template; nothing of it was touched."
    )
    TEMPLATE_LOST = strawberry.enum_value(
        "TEMPLATE_LOST", description="The host that was making the template knows nothing of it any more."
    )
    NO_CAPACITY = strawberry.enum_value("NO_CAPACITY", description="No host has room for it now; try again later.")
    QUOTA_EXCEEDED = strawberry.enum_value(
        "QUOTA_EXCEEDED", description="The team would have more than it may; `quota` says what it may."
    )
    ISOLATION_REQUIRED = strawberry.enum_value(
        "ISOLATION_REQUIRED",
        description="No host may take it, for those that have room emulate and serve another team.",
    )
    UNSUPPORTED_SHAPE = strawberry.enum_value(
        "UNSUPPORTED_SHAPE",
        description="The template, or what is forked, does not allow these vCPUs, this memory or so small a disk.",
    )
    UNKNOWN_TEMPLATE = strawberry.enum_value("UNKNOWN_TEMPLATE", description="The host has no image of this template.")
    UNAVAILABLE = strawberry.enum_value("UNAVAILABLE", description="Something that is needed does not answer now.")
    HOST_UNREACHABLE = strawberry.enum_value(
        "HOST_UNREACHABLE", description="The host of this sandbox does not answer; the sandbox itself may be fine."
    )
    SHUTTING_DOWN = strawberry.enum_value("SHUTTING_DOWN", description="The host is being shut down.")
    TIMEOUT = strawberry.enum_value("TIMEOUT", description="It did not answer in time; the outcome is not known yet.")
    SUPERSEDED = strawberry.enum_value(
        "SUPERSEDED", description="A later command for this sandbox overtook this one before it was done."
    )
    NO_SUCH_MACHINE = strawberry.enum_value(
        "NO_SUCH_MACHINE", description="The host has no machine for this sandbox; its state will be corrected."
    )
    STALE_GENERATION = strawberry.enum_value(
        "STALE_GENERATION", description="A newer command for this sandbox was accepted meanwhile."
    )
    START_FAILED = strawberry.enum_value("START_FAILED", description="The machine could not be started.")
    PAUSE_FAILED = strawberry.enum_value("PAUSE_FAILED", description="The pause failed; the sandbox runs on.")
    SNAPSHOT_FAILED = strawberry.enum_value(
        "SNAPSHOT_FAILED", description="Memory and disk could not be kept; the sandbox is as it was."
    )
    UNKNOWN_SNAPSHOT = strawberry.enum_value(
        "UNKNOWN_SNAPSHOT", description="What the child was to begin as is no longer there; fork again."
    )
    RESUME_FAILED = strawberry.enum_value(
        "RESUME_FAILED", description="The resume failed; the sandbox is still paused."
    )
    IMAGE_MISMATCH = strawberry.enum_value(
        "IMAGE_MISMATCH", description="What was saved does not fit this host: another CPU, accelerator or QEMU."
    )
    MACHINE_GONE = strawberry.enum_value("MACHINE_GONE", description="The machine ended while this was being done.")
    GUEST_UNRESPONSIVE = strawberry.enum_value("GUEST_UNRESPONSIVE", description="The guest does not answer.")
    COMMAND_NOT_FOUND = strawberry.enum_value(
        "COMMAND_NOT_FOUND", description="There is no such program in the sandbox."
    )
    COMMAND_NOT_EXECUTABLE = strawberry.enum_value(
        "COMMAND_NOT_EXECUTABLE", description="The file is there, but cannot be executed."
    )
    NO_SUCH_DIRECTORY = strawberry.enum_value(
        "NO_SUCH_DIRECTORY", description="There is no such directory in the sandbox."
    )
    NO_SUCH_FILE = strawberry.enum_value("NO_SUCH_FILE", description="There is no such file in the sandbox.")
    NOT_A_FILE = strawberry.enum_value("NOT_A_FILE", description="It is a directory or a device, not a regular file.")
    FILE_TOO_LARGE = strawberry.enum_value(
        "FILE_TOO_LARGE", description="Too large to travel in a GraphQL document; use the file endpoint."
    )
    PERMISSION_DENIED = strawberry.enum_value("PERMISSION_DENIED", description="The guest's system does not allow it.")
    GUEST_DISK_FULL = strawberry.enum_value("GUEST_DISK_FULL", description="The disk of the sandbox is full.")
    DISK_FULL = strawberry.enum_value("DISK_FULL", description="The disk of the host is full.")
    INTERNAL = strawberry.enum_value(
        "INTERNAL", description="A fault on our side; quote the request id when you report it."
    )


@strawberry.type(
    description="Something is wrong with what was asked for. Nothing was changed, unless the code says otherwise."
)
class UserError:
    code: ErrorCode = strawberry.field(description="Why, for programs.")
    message: str = strawberry.field(description="Why, as a sentence for people.")
    path: list[str] = strawberry.field(
        description="The part of the input that is wrong; empty when it is not one part."
    )
    retryable: bool = strawberry.field(description="True when the same request can succeed later without a change.")


USER_ERRORS = "What is wrong with the request; empty when it was done."
"""The description of `userErrors` in every payload."""

_CODES = {str(code.value): code for code in ErrorCode}
_FALLBACKS: tuple[tuple[type[NestboxError], ErrorCode], ...] = (
    (Invalid, ErrorCode.INVALID),
    (NotFound, ErrorCode.NOT_FOUND),
    (Forbidden, ErrorCode.FORBIDDEN),
    (Conflict, ErrorCode.CONFLICT),
    (NoCapacity, ErrorCode.NO_CAPACITY),
    (TooMany, ErrorCode.THROTTLED),
    (Unavailable, ErrorCode.UNAVAILABLE),
)
TOP_LEVEL = (Unauthenticated, MissingScope, Internal)
"""Errors that say nothing about the thing itself."""


def error_code(code: str, error: NestboxError | None = None) -> ErrorCode:
    """The code as clients know it. One that the schema lacks becomes that of its class, and is logged: it is a bug."""
    known = _CODES.get(code)
    if known is not None:
        return known
    _log.warning("error_code_not_in_schema", code=code)
    return next((fallback for kind, fallback in _FALLBACKS if isinstance(error, kind)), ErrorCode.INTERNAL)


def user_error(error: NestboxError) -> UserError:
    """The error for a payload.

    Raises:
        NestboxError: the same one, if it belongs at the top level.
    """
    if isinstance(error, TOP_LEVEL):
        raise error
    return UserError(
        code=error_code(error.code, error),
        message=error.message,
        path=list(error.path),
        retryable=error.retryable,
    )


def operation_errors(operation: Operation) -> list[UserError]:
    """What a failed operation says in the payload of the mutation that waited for it."""
    if operation.error_code is None:
        return []
    return [
        UserError(
            code=error_code(operation.error_code),
            message=operation.error_message or "It failed.",
            path=[],
            retryable=operation.error_retryable,
        )
    ]

"""Operations: accepted commands and what became of them."""

from datetime import datetime
from enum import Enum
from uuid import UUID

import strawberry

from api.domain import operation as domain
from api.ids import Kind, wire_id
from api.schema.context import OperationInfo
from api.schema.errors import ErrorCode, error_code
from api.schema.fields import resolved
from api.schema.node import Node
from api.schema.templates import Template, template


@strawberry.enum(description="What was asked for.")
class OperationKind(Enum):
    CREATE = strawberry.enum_value("create", description="A new sandbox.")
    START = strawberry.enum_value("start", description="A cold start from the kept disk.")
    PAUSE = strawberry.enum_value("pause", description="Memory and disk to be saved, the machine to be let go.")
    RESUME = strawberry.enum_value("resume", description="A machine from what was saved.")
    DELETE = strawberry.enum_value("delete", description="The sandbox and all its files to be removed.")
    CREATE_TEMPLATE = strawberry.enum_value(
        "create_template",
        description="A template of the sandbox. Goes on when the sandbox does, until the template is complete.",
    )
    FORK = strawberry.enum_value(
        "fork", description="Memory and disk to be kept for children; each of them has a CREATE of its own."
    )
    DELETE_TEMPLATE = strawberry.enum_value("delete_template", description="A template's files to be removed.")


@strawberry.enum(description="How far an operation is.")
class OperationState(Enum):
    RUNNING = strawberry.enum_value("running", description="Accepted and being worked on.")
    SUCCEEDED = strawberry.enum_value("succeeded", description="Done.")
    FAILED = strawberry.enum_value("failed", description="It failed; `error` says why.")


@strawberry.type(description="One step of an operation and how long it took.")
class Stage:
    name: str = strawberry.field(description="The name of the step.")
    duration_ms: float = strawberry.field(description="How long it took, in milliseconds.")


@strawberry.type(description="Why an operation failed.")
class OperationError:
    code: ErrorCode = strawberry.field(description="Why, for programs.")
    message: str = strawberry.field(description="Why, as a sentence for people.")
    retryable: bool = strawberry.field(description="True when the same command can succeed later without a change.")


@strawberry.type(description="An accepted command: it goes on whether or not anybody waits for it.")
class Operation(Node):
    kind: OperationKind = strawberry.field(description="What was asked for.")
    state: OperationState = strawberry.field(description="How far it is.")
    sandbox_id: strawberry.ID | None = strawberry.field(
        description="The sandbox that it is about; null for DELETE_TEMPLATE."
    )
    template_id: strawberry.ID | None = strawberry.field(
        description="The template that it makes or deletes; null for other kinds."
    )
    team_id: strawberry.ID = strawberry.field(description="The team that asked for it.")
    progress_percent: int | None = strawberry.field(
        description="How far it is, from 0 to 100; null for kinds that take no longer than a moment."
    )
    actor: str = strawberry.field(description="Who asked for it: the id of an API key, or `system`.")
    created_at: datetime = strawberry.field(description="When it was accepted.")
    finished_at: datetime | None = strawberry.field(description="When it ended; null while it runs.")
    stages: list[Stage] = strawberry.field(description="Its steps so far with their times, in order.")
    error: OperationError | None = strawberry.field(description="Why it failed; null unless it did.")
    record: strawberry.Private[domain.Operation]

    @resolved("The template that it makes, once that is complete; null before, and when it is deleted.")
    async def template(self, info: OperationInfo) -> Template | None:
        if self.record.template_id is None:
            return None
        record = await info.context.loaders.made_templates.load(self.record.template_id)
        return None if record is None else template(record)


def _id(kind: Kind, value: UUID | None) -> strawberry.ID | None:
    return None if value is None else strawberry.ID(wire_id(kind, value))


def operation(record: domain.Operation) -> Operation:
    """The operation as clients see it."""
    error = None
    if record.error_code is not None:
        error = OperationError(
            code=error_code(record.error_code),
            message=record.error_message or "It failed.",
            retryable=record.error_retryable,
        )
    return Operation(
        id=strawberry.ID(wire_id(Kind.OPERATION, record.id)),
        kind=OperationKind[record.kind.name],
        state=OperationState[record.state.name],
        sandbox_id=_id(Kind.SANDBOX, record.sandbox_id),
        template_id=_id(Kind.TEMPLATE, record.template_id),
        team_id=strawberry.ID(wire_id(Kind.TEAM, record.team_id)),
        progress_percent=record.progress_percent,
        actor=record.actor,
        created_at=record.created_at,
        finished_at=record.finished_at,
        stages=[Stage(name=stage.name, duration_ms=stage.duration_us / 1000) for stage in record.stages],
        error=error,
        record=record,
    )

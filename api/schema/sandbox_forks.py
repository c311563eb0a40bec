"""Forking sandboxes."""

from typing import Annotated

import strawberry

from api.domain.sandbox import ForkSandbox
from api.errors import NestboxError
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, operation_errors, user_error
from api.schema.fields import command
from api.schema.labels import EnvironmentVariableInput, LabelInput, environment_pairs, label_pairs
from api.schema.operations import Operation, operation
from api.schema.sandbox_commands import IDEMPOTENCY_KEY, WAIT_SECONDS, WAIT_SECONDS_DEFAULT, given
from api.schema.sandboxes import Sandbox, sandbox
from api.services.forks import Child, ForkOutcome


@strawberry.input(description="Which sandbox to fork, and what its children are to be. What is left out they inherit.")
class ForkSandboxInput:
    id: strawberry.ID = strawberry.field(description="The sandbox: `sb-…`. It must be running.")
    count: int | None = strawberry.field(default=1, description="How many children, 1 to 100.")
    name: str | None = strawberry.field(default=None, description="The name of all children; default: the parent's.")
    labels: list[LabelInput] | None = strawberry.field(
        default_factory=list, description="Labels beside the parent's; these win."
    )
    timeout_sec: int | None = strawberry.field(
        default=None, description="Pause a child after so many seconds without use; 0 is never."
    )
    auto_resume: bool | None = strawberry.field(
        default=None, description="Whether commands and file access resume a child when it is paused."
    )
    environment: list[EnvironmentVariableInput] | None = strawberry.field(
        default_factory=list,
        description="Environment variables beside the parent's, for commands that are started in a child; these win.",
    )
    disk_size_mb: int | None = strawberry.field(
        default=None, description="The size of a child's disk in MiB, no smaller than the parent's."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)
    wait_seconds: int | None = strawberry.field(default=WAIT_SECONDS_DEFAULT, description=WAIT_SECONDS)


@strawberry.type(description="What became of one child of a fork.")
class ForkedChild:
    sandbox: Sandbox = strawberry.field(description="The child as it is now.")
    operation: Operation | None = strawberry.field(
        description="The CREATE that starts it; null until the fork has succeeded, and if it failed."
    )
    user_errors: list[UserError] = strawberry.field(description="Why it did not start; empty unless it failed.")


@strawberry.type(description="What became of `forkSandbox`. Some children may run and others not.")
class ForkSandboxPayload:
    parent: Sandbox | None = strawberry.field(
        default=None, description="The sandbox that was forked, as it is now; null when the command was refused."
    )
    operation: Operation | None = strawberry.field(
        default=None, description="The fork; it has succeeded when everything is kept that children begin from."
    )
    children: list[ForkedChild] = strawberry.field(
        default_factory=list, description="All children; none when the command was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class SandboxForkCommands:
    @command(
        "Starts sandboxes that begin as a running one is now: its memory, its processes, its files. It stands still "
        "once, for a moment, however many children there are. Each child has an identity, random numbers, a clock and "
        "a disk of its own; connections to elsewhere are cut in it. Results are told for each child: some may start "
        "and others not."
    )
    async def fork_sandbox(
        self,
        info: OperationInfo,
        wanted: Annotated[ForkSandboxInput, strawberry.argument(name="input", description="Which, and how many.")],
    ) -> ForkSandboxPayload:
        context = info.context
        try:
            outcome = await context.services.forks.create(context.principal, _forking(wanted))
        except NestboxError as error:
            return ForkSandboxPayload(user_errors=[user_error(error)])
        return _payload(outcome)


def _forking(wanted: ForkSandboxInput) -> ForkSandbox:
    return ForkSandbox(
        sandbox_id=parse_id(Kind.SANDBOX, wanted.id, path=("id",)),
        count=given(wanted.count, 1),
        name=wanted.name,
        labels=label_pairs(wanted.labels),
        timeout_sec=wanted.timeout_sec,
        auto_resume=wanted.auto_resume,
        environment=environment_pairs(wanted.environment),
        disk_size_mb=wanted.disk_size_mb,
        idempotency_key=wanted.idempotency_key,
        wait_seconds=given(wanted.wait_seconds, WAIT_SECONDS_DEFAULT),
    )


def _payload(outcome: ForkOutcome) -> ForkSandboxPayload:
    return ForkSandboxPayload(
        parent=sandbox(outcome.parent),
        operation=operation(outcome.operation),
        children=[_child(child, outcome) for child in outcome.children],
        user_errors=operation_errors(outcome.operation),
    )


def _child(child: Child, outcome: ForkOutcome) -> ForkedChild:
    return ForkedChild(
        sandbox=sandbox(child.sandbox, last_operation=child.operation),
        operation=None if child.operation is None else operation(child.operation),
        user_errors=operation_errors(child.operation or outcome.operation),
    )

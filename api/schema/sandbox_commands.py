"""Commands that move sandboxes."""

from typing import Annotated, TypeVar

import strawberry

from api.domain.sandbox import CreateSandbox
from api.domain.sandbox.creation import DEFAULT_DISK_SIZE_MB, DEFAULT_MEMORY_MB, DEFAULT_VCPUS
from api.errors import NestboxError
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, operation_errors, user_error
from api.schema.fields import command
from api.schema.labels import EnvironmentVariableInput, LabelInput, environment_pairs, label_pairs
from api.schema.operations import Operation, operation
from api.schema.sandboxes import Sandbox, sandbox
from api.services.outcome import Outcome

WAIT_SECONDS_DEFAULT = 30

IDEMPOTENCY_KEY = (
    "A text of your choice. The same key with the same input answers with the first result and does nothing more; with "
    "another input it is refused as IDEMPOTENCY_CONFLICT."
)
WAIT_SECONDS = (
    "How long to wait for the outcome, in seconds; 0 answers as soon as the command is accepted. The command goes on "
    "either way."
)


@strawberry.input(description="What a new sandbox is to be. MB means MiB.")
class CreateSandboxInput:
    template_id: strawberry.ID | None = strawberry.field(
        default=None, description="The template by its id; at most one of `templateId` and `templateName`."
    )
    template_name: str | None = strawberry.field(
        default=None, description="The template by its name; without both, the platform's `base`."
    )
    name: str | None = strawberry.field(default=None, description="A name for people, at most 100 characters.")
    vcpus: int | None = strawberry.field(
        default=None,
        description=f"Virtual CPUs. Left out: the template's, where it fixes them, else {DEFAULT_VCPUS}. A template "
        "that fixes them takes no other value.",
    )
    memory_mb: int | None = strawberry.field(
        default=None,
        description=f"Memory in MiB. Left out: the template's, where it fixes it, else {DEFAULT_MEMORY_MB}. A template "
        "that fixes it takes no other value.",
    )
    disk_size_mb: int | None = strawberry.field(
        default=None,
        description=f"The size of the disk in MiB, no smaller than the template's. Left out: the template's, and "
        f"{DEFAULT_DISK_SIZE_MB} at least if that is of the type BASE.",
    )
    timeout_sec: int | None = strawberry.field(
        default=0, description="Pause it after so many seconds without use, up to 30 days; 0 is never."
    )
    auto_resume: bool | None = strawberry.field(
        default=False, description="Whether commands and file access resume it when it is paused, and then go on."
    )
    environment: list[EnvironmentVariableInput] | None = strawberry.field(
        default_factory=list, description="Environment variables for every command that runs in it."
    )
    labels: list[LabelInput] | None = strawberry.field(default_factory=list, description="Labels to find it by.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)
    wait_seconds: int | None = strawberry.field(default=WAIT_SECONDS_DEFAULT, description=WAIT_SECONDS)


@strawberry.input(description="Which sandbox to pause.")
class PauseSandboxInput:
    id: strawberry.ID = strawberry.field(description="The sandbox: `sb-…`.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)
    wait_seconds: int | None = strawberry.field(default=WAIT_SECONDS_DEFAULT, description=WAIT_SECONDS)


@strawberry.input(description="Which sandbox to resume.")
class ResumeSandboxInput:
    id: strawberry.ID = strawberry.field(description="The sandbox: `sb-…`.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)
    wait_seconds: int | None = strawberry.field(default=WAIT_SECONDS_DEFAULT, description=WAIT_SECONDS)


@strawberry.input(description="Which sandbox to start.")
class StartSandboxInput:
    id: strawberry.ID = strawberry.field(description="The sandbox: `sb-…`.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)
    wait_seconds: int | None = strawberry.field(default=WAIT_SECONDS_DEFAULT, description=WAIT_SECONDS)


@strawberry.input(description="Which sandbox to delete.")
class DeleteSandboxInput:
    id: strawberry.ID = strawberry.field(description="The sandbox: `sb-…`.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)
    wait_seconds: int | None = strawberry.field(default=WAIT_SECONDS_DEFAULT, description=WAIT_SECONDS)


@strawberry.input(description="Which sandbox to ping.")
class PingSandboxInput:
    id: strawberry.ID = strawberry.field(description="The sandbox: `sb-…`.")


@strawberry.type
class CommandPayload:
    sandbox: Sandbox | None = strawberry.field(
        default=None, description="The sandbox as it is now; null when the command was refused."
    )
    operation: Operation | None = strawberry.field(
        default=None, description="The accepted command: still running when `waitSeconds` were not enough."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


PayloadT = TypeVar("PayloadT", bound=CommandPayload)


@strawberry.type(description="What became of `createSandbox`.")
class CreateSandboxPayload(CommandPayload):
    pass


@strawberry.type(description="What became of `pauseSandbox`.")
class PauseSandboxPayload(CommandPayload):
    pass


@strawberry.type(description="What became of `resumeSandbox`.")
class ResumeSandboxPayload(CommandPayload):
    pass


@strawberry.type(description="What became of `startSandbox`.")
class StartSandboxPayload(CommandPayload):
    pass


@strawberry.type(description="What became of `deleteSandbox`.")
class DeleteSandboxPayload(CommandPayload):
    pass


@strawberry.type(description="What became of `pingSandbox`.")
class PingSandboxPayload:
    sandbox: Sandbox | None = strawberry.field(default=None, description="The sandbox as it is now.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class SandboxCommands:
    @command(
        "Creates a sandbox and starts it; with the default template in a fraction of a second. The guest "
        "has no network yet: bring what it needs by `writeFile` or the file endpoint. The command is carried out even "
        "if you go away."
    )
    async def create_sandbox(
        self,
        info: OperationInfo,
        wanted: Annotated[CreateSandboxInput, strawberry.argument(name="input", description="What it is to be.")],
    ) -> CreateSandboxPayload:
        context = info.context
        try:
            outcome = await context.services.sandboxes.create(context.principal, creation(wanted))
        except NestboxError as error:
            return CreateSandboxPayload(user_errors=[user_error(error)])
        return _payload(CreateSandboxPayload, outcome)

    @command(
        "Saves memory and disk of a sandbox and lets its machine go; it then uses no memory of the host. "
        "When it fails, the sandbox runs on."
    )
    async def pause_sandbox(
        self,
        info: OperationInfo,
        which: Annotated[PauseSandboxInput, strawberry.argument(name="input", description="Which sandbox.")],
    ) -> PauseSandboxPayload:
        context = info.context
        try:
            outcome = await context.services.sandboxes.pause(
                context.principal,
                parse_id(Kind.SANDBOX, which.id, path=("id",)),
                idempotency_key=which.idempotency_key,
                wait_seconds=given(which.wait_seconds, WAIT_SECONDS_DEFAULT),
            )
        except NestboxError as error:
            return PauseSandboxPayload(user_errors=[user_error(error)])
        return _payload(PauseSandboxPayload, outcome)

    @command(
        "Starts a machine from what a pause saved: its processes go on where they were. When it fails, the "
        "sandbox is still paused."
    )
    async def resume_sandbox(
        self,
        info: OperationInfo,
        which: Annotated[ResumeSandboxInput, strawberry.argument(name="input", description="Which sandbox.")],
    ) -> ResumeSandboxPayload:
        context = info.context
        try:
            outcome = await context.services.sandboxes.resume(
                context.principal,
                parse_id(Kind.SANDBOX, which.id, path=("id",)),
                idempotency_key=which.idempotency_key,
                wait_seconds=given(which.wait_seconds, WAIT_SECONDS_DEFAULT),
            )
        except NestboxError as error:
            return ResumeSandboxPayload(user_errors=[user_error(error)])
        return _payload(ResumeSandboxPayload, outcome)

    @command(
        "Boots a stopped sandbox from its kept disk: files are as they were, processes and memory are new. When it "
        "fails, the sandbox is still stopped."
    )
    async def start_sandbox(
        self,
        info: OperationInfo,
        which: Annotated[StartSandboxInput, strawberry.argument(name="input", description="Which sandbox.")],
    ) -> StartSandboxPayload:
        context = info.context
        try:
            outcome = await context.services.sandboxes.start(
                context.principal,
                parse_id(Kind.SANDBOX, which.id, path=("id",)),
                idempotency_key=which.idempotency_key,
                wait_seconds=given(which.wait_seconds, WAIT_SECONDS_DEFAULT),
            )
        except NestboxError as error:
            return StartSandboxPayload(user_errors=[user_error(error)])
        return _payload(StartSandboxPayload, outcome)

    @command(
        "Removes a sandbox with its memory and all its files, whatever state it is in. Its history stays. "
        "Repeating it is harmless."
    )
    async def delete_sandbox(
        self,
        info: OperationInfo,
        which: Annotated[DeleteSandboxInput, strawberry.argument(name="input", description="Which sandbox.")],
    ) -> DeleteSandboxPayload:
        context = info.context
        try:
            outcome = await context.services.sandboxes.delete(
                context.principal,
                parse_id(Kind.SANDBOX, which.id, path=("id",)),
                idempotency_key=which.idempotency_key,
                wait_seconds=given(which.wait_seconds, WAIT_SECONDS_DEFAULT),
            )
        except NestboxError as error:
            return DeleteSandboxPayload(user_errors=[user_error(error)])
        return _payload(DeleteSandboxPayload, outcome)

    @command("Counts as use of a running sandbox, and proves that its guest answers.")
    async def ping_sandbox(
        self,
        info: OperationInfo,
        which: Annotated[PingSandboxInput, strawberry.argument(name="input", description="Which sandbox.")],
    ) -> PingSandboxPayload:
        context = info.context
        try:
            sandbox_id = parse_id(Kind.SANDBOX, which.id, path=("id",))
            record = await context.services.sandboxes.ping(context.principal, sandbox_id)
        except NestboxError as error:
            return PingSandboxPayload(user_errors=[user_error(error)])
        return PingSandboxPayload(sandbox=sandbox(record))


def creation(wanted: CreateSandboxInput) -> CreateSandbox:
    """What a client wants. Raises: Invalid."""
    # an explicit null means the same as leaving a field out
    return CreateSandbox(
        template_id=None
        if wanted.template_id is None
        else parse_id(Kind.TEMPLATE, wanted.template_id, path=("templateId",)),
        template_name=wanted.template_name,
        name=wanted.name or "",
        vcpus=wanted.vcpus,
        memory_mb=wanted.memory_mb,
        disk_size_mb=wanted.disk_size_mb,
        timeout_sec=given(wanted.timeout_sec, 0),
        auto_resume=bool(wanted.auto_resume),
        environment=environment_pairs(wanted.environment),
        labels=label_pairs(wanted.labels),
        idempotency_key=wanted.idempotency_key,
        wait_seconds=given(wanted.wait_seconds, WAIT_SECONDS_DEFAULT),
    )


def given(value: int | None, default: int) -> int:
    """An explicit null means the same as leaving a field out."""
    return default if value is None else value


def _payload(kind: type[PayloadT], outcome: Outcome) -> PayloadT:
    return kind(
        sandbox=sandbox(outcome.sandbox, last_operation=outcome.operation),
        operation=operation(outcome.operation),
        user_errors=operation_errors(outcome.operation),
    )

"""Commands about templates."""

from typing import Annotated

import strawberry

from api.errors import NestboxError
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, operation_errors, user_error
from api.schema.fields import command
from api.schema.operations import Operation, operation
from api.schema.sandbox_commands import IDEMPOTENCY_KEY, WAIT_SECONDS, WAIT_SECONDS_DEFAULT, given
from api.schema.sandboxes import Sandbox, sandbox
from api.schema.templates import Template, template


@strawberry.input(description="Of which sandbox to make a template, and how to call it.")
class CreateTemplateInput:
    sandbox_id: strawberry.ID = strawberry.field(description="The sandbox: `sb-…`. It must be running or paused.")
    name: str = strawberry.field(
        description="Its name: 1 to 63 lower-case letters, digits, dots, dashes and underscores, beginning with a "
        "letter or a digit, and unique in your team. Names of the platform's templates and those that begin with "
        "`nestbox` are reserved."
    )
    description: str | None = strawberry.field(default="", description="What is in it, at most 2,000 bytes.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)
    wait_seconds: int | None = strawberry.field(default=WAIT_SECONDS_DEFAULT, description=WAIT_SECONDS)


@strawberry.input(description="Which template to delete.")
class DeleteTemplateInput:
    id: strawberry.ID = strawberry.field(description="The template: `tpl-…`.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)
    wait_seconds: int | None = strawberry.field(default=WAIT_SECONDS_DEFAULT, description=WAIT_SECONDS)


@strawberry.type(description="What became of `createTemplate`.")
class CreateTemplatePayload:
    template: Template | None = strawberry.field(
        default=None, description="The template; null until it is complete, and when it failed."
    )
    sandbox: Sandbox | None = strawberry.field(
        default=None, description="The sandbox as it is now; null when the command was refused."
    )
    operation: Operation | None = strawberry.field(
        default=None, description="The accepted command: still running when `waitSeconds` were not enough."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What became of `deleteTemplate`.")
class DeleteTemplatePayload:
    operation: Operation | None = strawberry.field(
        default=None, description="The accepted command: it ends when no host has files of the template any more."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class TemplateCommands:
    @command(
        "Makes a template of a running or paused sandbox: its memory, its processes, its files. A running one stands "
        "still for a moment and runs on, whatever becomes of the template, which appears when it is complete. Until "
        "then its name is taken; subscribe to the operation to see how far it is."
    )
    async def create_template(
        self,
        info: OperationInfo,
        wanted: Annotated[CreateTemplateInput, strawberry.argument(name="input", description="Of what, and its name.")],
    ) -> CreateTemplatePayload:
        context = info.context
        try:
            outcome = await context.services.templates.create(
                context.principal,
                parse_id(Kind.SANDBOX, wanted.sandbox_id, path=("sandboxId",)),
                wanted.name,
                wanted.description or "",
                idempotency_key=wanted.idempotency_key,
                wait_seconds=given(wanted.wait_seconds, WAIT_SECONDS_DEFAULT),
            )
        except NestboxError as error:
            return CreateTemplatePayload(user_errors=[user_error(error)])
        return CreateTemplatePayload(
            template=None if outcome.template is None else template(outcome.template),
            sandbox=sandbox(outcome.sandbox, last_operation=outcome.operation),
            operation=operation(outcome.operation),
            user_errors=operation_errors(outcome.operation),
        )

    @command(
        "Deletes a template, unless sandboxes stand on it. At once nobody can use it and its name is free; its files "
        "are removed from hosts, also from those that are away now."
    )
    async def delete_template(
        self,
        info: OperationInfo,
        which: Annotated[DeleteTemplateInput, strawberry.argument(name="input", description="Which template.")],
    ) -> DeleteTemplatePayload:
        context = info.context
        try:
            deletion = await context.services.templates.delete(
                context.principal,
                parse_id(Kind.TEMPLATE, which.id, path=("id",)),
                idempotency_key=which.idempotency_key,
                wait_seconds=given(which.wait_seconds, WAIT_SECONDS_DEFAULT),
            )
        except NestboxError as error:
            return DeleteTemplatePayload(user_errors=[user_error(error)])
        return DeleteTemplatePayload(operation=operation(deletion), user_errors=operation_errors(deletion))

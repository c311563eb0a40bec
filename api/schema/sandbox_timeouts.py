"""The idle timeouts of sandboxes."""

from typing import Annotated

import strawberry

from api.errors import NestboxError
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.fields import command
from api.schema.sandboxes import Sandbox, sandbox


@strawberry.input(description="After how long without use a sandbox is paused.")
class SetSandboxTimeoutInput:
    id: strawberry.ID = strawberry.field(description="The sandbox: `sb-…`.")
    timeout_sec: int = strawberry.field(description="The number of seconds, up to 30 days; 0 is never.")


@strawberry.type(description="What became of `setSandboxTimeout`.")
class SetSandboxTimeoutPayload:
    sandbox: Sandbox | None = strawberry.field(default=None, description="The sandbox as it is now.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class SandboxTimeoutCommands:
    @command(
        "Sets after how long without use a sandbox is paused; counts as use. A pause for idleness that begins at the "
        "same time is undone. Of a sandbox that does not run it is noted until it does."
    )
    async def set_sandbox_timeout(
        self,
        info: OperationInfo,
        wanted: Annotated[SetSandboxTimeoutInput, strawberry.argument(name="input", description="Which, and when.")],
    ) -> SetSandboxTimeoutPayload:
        context = info.context
        try:
            sandbox_id = parse_id(Kind.SANDBOX, wanted.id, path=("id",))
            found = await context.services.timeouts.set(context.principal, sandbox_id, wanted.timeout_sec)
        except NestboxError as error:
            return SetSandboxTimeoutPayload(user_errors=[user_error(error)])
        return SetSandboxTimeoutPayload(sandbox=sandbox(found))

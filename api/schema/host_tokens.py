"""Tokens with which hosts join."""

from datetime import datetime

import strawberry

from api.errors import Forbidden, NestboxError
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.fields import command


@strawberry.type(description="What became of `adminCreateHostToken`.")
class AdminCreateHostTokenPayload:
    token: str | None = strawberry.field(
        default=None, description="For `python -m agent join` on the new host, once. It cannot be seen again."
    )
    expires_at: datetime | None = strawberry.field(default=None, description="Until when it can be used: an hour.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class HostTokenCommands:
    @command("Makes a token with which one new host can join. FORBIDDEN for all but platform admins.")
    async def admin_create_host_token(self, info: OperationInfo) -> AdminCreateHostTokenPayload:
        context = info.context
        try:
            made = await context.services.registrations.create_token(context.principal)
        except Forbidden:
            raise
        except NestboxError as error:
            return AdminCreateHostTokenPayload(user_errors=[user_error(error)])
        return AdminCreateHostTokenPayload(token=made.token, expires_at=made.expires_at)

"""Tokens with which hosts join."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.errors import Forbidden, NestboxError
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.fields import command


@strawberry.input(description="For which host a token is.")
class AdminCreateHostTokenInput:
    host_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="`host-…`: one that is known and is to join again, since its certificate is lost or has expired, "
        "or since it has moved. Only that host can use the token; without an id, only one that is not known can.",
    )


@strawberry.type(description="What became of `adminCreateHostToken`.")
class AdminCreateHostTokenPayload:
    token: str | None = strawberry.field(
        default=None, description="For `python -m agent join` on the new host, once. It cannot be seen again."
    )
    expires_at: datetime | None = strawberry.field(default=None, description="Until when it can be used: an hour.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class HostTokenCommands:
    @command("Makes a token with which one host can join, once. FORBIDDEN for all but platform admins.")
    async def admin_create_host_token(
        self,
        info: OperationInfo,
        wanted: Annotated[
            AdminCreateHostTokenInput | None,
            strawberry.argument(name="input", description="For which host; without it, for a new one."),
        ] = None,
    ) -> AdminCreateHostTokenPayload:
        context, text = info.context, None if wanted is None else wanted.host_id
        try:
            again = None if text is None else parse_id(Kind.HOST, text, path=("hostId",))
            made = await context.services.registrations.create_token(context.principal, again)
        except Forbidden:
            raise
        except NestboxError as error:
            return AdminCreateHostTokenPayload(user_errors=[user_error(error)])
        return AdminCreateHostTokenPayload(token=made.token, expires_at=made.expires_at)

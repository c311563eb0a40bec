"""API keys of the caller's team: looking at them, making and revoking them."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.domain import api_key as domain
from api.domain import principal
from api.domain.page import Page
from api.errors import NestboxError
from api.ids import Kind, parse_id, wire_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.fields import command, resolved
from api.schema.node import Node
from api.schema.paging import PageInfo, encode_cursor, page_info
from api.schema.roles import Scope, shown_scopes


@strawberry.type(description="An API key of your team. The key itself is not here: it is shown once, when it is made.")
class ApiKey(Node):
    name: str = strawberry.field(description="What it is for.")
    scopes: list[Scope] = strawberry.field(description="What it may do, as far as whoever made it still may.")
    created_by: str = strawberry.field(
        description="Who made it; empty for one that was made at the platform's command line."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    last_used_at: datetime | None = strawberry.field(description="When it was last used, exact to a minute.")
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; null is never.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null when it was not.")


@strawberry.type(description="An API key in a list.")
class ApiKeyEdge:
    node: ApiKey = strawberry.field(description="The key.")
    cursor: str = strawberry.field(description="Its place in the list, for `after` and `before`.")


@strawberry.type(description="A page of API keys.")
class ApiKeyConnection:
    edges: list[ApiKeyEdge] = strawberry.field(description="The keys of this page with their cursors.")
    nodes: list[ApiKey] = strawberry.field(description="The keys of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")

    @resolved("How many keys there are, on all pages, ended ones too. Counted only when asked for.")
    async def total_count(self, info: OperationInfo) -> int:
        return await info.context.services.api_keys.count(info.context.principal)


@strawberry.input(description="What a new API key is to be.")
class CreateApiKeyInput:
    name: str = strawberry.field(description="What it is for, at most 200 bytes.")
    scopes: list[Scope] = strawberry.field(
        description="What it may do; each includes those before it. At most what you may."
    )
    expires_at: datetime | None = strawberry.field(default=None, description="When it ends by itself; null is never.")


@strawberry.type(description="What became of `createApiKey`.")
class CreateApiKeyPayload:
    api_key: ApiKey | None = strawberry.field(default=None, description="The new key; null when it was refused.")
    key: str | None = strawberry.field(
        default=None, description="The key itself, `nb_…`: this is the only time that it can be seen."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Which API key.")
class RevokeApiKeyInput:
    id: strawberry.ID = strawberry.field(description="Its id: `key-…`.")


@strawberry.type(description="What became of `revokeApiKey`.")
class RevokeApiKeyPayload:
    api_key: ApiKey | None = strawberry.field(default=None, description="The key, revoked; null when it was refused.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class ApiKeyCommands:
    @command("Makes an API key of your team. Needs the scope TEAM_ADMIN.")
    async def create_api_key(
        self,
        info: OperationInfo,
        wanted: Annotated[CreateApiKeyInput, strawberry.argument(name="input", description="What it is to be.")],
    ) -> CreateApiKeyPayload:
        context = info.context
        scopes = frozenset(principal.Scope[scope.name] for scope in wanted.scopes)
        try:
            made = await context.services.api_keys.create(context.principal, wanted.name, scopes, wanted.expires_at)
        except NestboxError as error:
            return CreateApiKeyPayload(user_errors=[user_error(error)])
        return CreateApiKeyPayload(api_key=api_key(made.key), key=made.text)

    @command(
        "Ends an API key of your team: within five seconds it opens nothing, and what it had opened is closed. "
        "Repeating it is harmless. Needs the scope TEAM_ADMIN."
    )
    async def revoke_api_key(
        self,
        info: OperationInfo,
        which: Annotated[RevokeApiKeyInput, strawberry.argument(name="input", description="Which key.")],
    ) -> RevokeApiKeyPayload:
        context = info.context
        try:
            key_id = parse_id(Kind.API_KEY, which.id, path=("id",))
            revoked = await context.services.api_keys.revoke(context.principal, key_id)
        except NestboxError as error:
            return RevokeApiKeyPayload(user_errors=[user_error(error)])
        return RevokeApiKeyPayload(api_key=api_key(revoked))


def api_keys(found: Page[domain.ApiKey]) -> ApiKeyConnection:
    """A page of keys as clients see it."""
    nodes = [api_key(record) for record in found.items]
    ids = [record.id for record in found.items]
    return ApiKeyConnection(
        edges=[ApiKeyEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)],
        nodes=nodes,
        page_info=page_info(found, ids),
    )


def api_key(record: domain.ApiKey) -> ApiKey:
    """A key as clients see it."""
    return ApiKey(
        id=strawberry.ID(wire_id(Kind.API_KEY, record.id)),
        name=record.name,
        scopes=shown_scopes(record.scopes),
        created_by=record.created_by_name,
        created_at=record.created_at,
        last_used_at=record.last_used_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )

"""Anything by its global id."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

import strawberry

from api.errors import Invalid
from api.ids import Kind, parse_id
from api.schema.api_keys import api_key
from api.schema.context import OperationContext, OperationInfo
from api.schema.fields import resolved
from api.schema.hosts import host
from api.schema.members import member
from api.schema.node import Node
from api.schema.operations import Operation, operation
from api.schema.sandboxes import sandbox
from api.schema.teams import team
from api.schema.templates import template

NODES_MAX = 100
_KINDS = {kind.value: kind for kind in Kind}


@strawberry.type
class NodeQueries:
    @resolved("Any object by its id; null when there is none, or it is another team's.")
    async def node(
        self,
        info: OperationInfo,
        node_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="Its id, of any kind.")],
    ) -> Node | None:
        kind, found_id = _parse(node_id, ("id",))
        load = _LOADERS.get(kind)
        return None if load is None else await load(info.context, found_id)

    @resolved("Several objects by their ids, at most 100, in the same order.")
    async def nodes(
        self,
        info: OperationInfo,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Their ids, of any kind.")],
    ) -> list[Node | None]:
        if len(ids) > NODES_MAX:
            raise Invalid(f"At most {NODES_MAX} objects can be asked for at once.", path=("ids",))
        wanted = [_parse(text, ("ids", str(index))) for index, text in enumerate(ids)]
        context = info.context
        sandbox_ids = {found_id for kind, found_id in wanted if kind is Kind.SANDBOX}
        sandboxes = await context.services.sandboxes.get_many(context.principal, sandbox_ids) if sandbox_ids else {}
        found: dict[tuple[Kind, UUID], Node | None] = {
            (Kind.SANDBOX, found_id): sandbox(record) for found_id, record in sandboxes.items()
        }
        for kind, found_id in dict.fromkeys(wanted):
            load = _LOADERS.get(kind)
            if kind is not Kind.SANDBOX and load is not None:
                found[kind, found_id] = await load(context, found_id)
        return [found.get(key) for key in wanted]

    @resolved("An operation by its id; null when there is none.")
    async def operation(
        self,
        info: OperationInfo,
        operation_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="Its id: `op-…`.")],
    ) -> Operation | None:
        return await _operation(info.context, parse_id(Kind.OPERATION, operation_id, path=("id",)))


def _parse(text: str, path: tuple[str, ...]) -> tuple[Kind, UUID]:
    kind = _KINDS.get(text.partition("-")[0])
    if kind is None:
        raise Invalid(
            "This is not an id; ids look like sb-01234567-89ab-7cde-8f01-23456789abcd.", code="MALFORMED_ID", path=path
        )
    return kind, parse_id(kind, text, path=path)


async def _sandbox(context: OperationContext, found_id: UUID) -> Node | None:
    record = await context.services.sandboxes.get(context.principal, found_id)
    return None if record is None else sandbox(record)


async def _template(context: OperationContext, found_id: UUID) -> Node | None:
    record = await context.services.templates.get(context.principal, found_id)
    return None if record is None else template(record)


async def _operation(context: OperationContext, found_id: UUID) -> Operation | None:
    record = await context.services.operations.get(context.principal, found_id)
    return None if record is None else operation(record)


async def _host(context: OperationContext, found_id: UUID) -> Node | None:
    if not context.principal.is_platform_admin:
        return None
    record = await context.services.hosts.get(context.principal, found_id)
    return None if record is None else host(record)


async def _team(context: OperationContext, found_id: UUID) -> Node | None:
    record = await context.services.teams.own(context.principal)
    return team(record) if record is not None and record.id == found_id else None


async def _member(context: OperationContext, found_id: UUID) -> Node | None:
    record = await context.services.memberships.get(context.principal, found_id)
    return None if record is None else member(record)


async def _api_key(context: OperationContext, found_id: UUID) -> Node | None:
    record = await context.services.api_keys.get(context.principal, found_id)
    return None if record is None else api_key(record)


_LOADERS: dict[Kind, Callable[[OperationContext, UUID], Awaitable[Node | None]]] = {
    Kind.SANDBOX: _sandbox,
    Kind.TEMPLATE: _template,
    Kind.OPERATION: _operation,
    Kind.HOST: _host,
    Kind.TEAM: _team,
    Kind.USER: _member,
    Kind.API_KEY: _api_key,
}

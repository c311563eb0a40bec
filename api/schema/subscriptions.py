"""Live views of sandboxes: what services tell, as clients see it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from enum import Enum
from typing import Annotated, assert_never

import strawberry

from api.domain import feed as domain
from api.ids import Kind, parse_id, wire_id
from api.schema.context import OperationContext, OperationInfo
from api.schema.fields import stream
from api.schema.operations import Operation, operation
from api.schema.quotas import Quota, quota
from api.schema.sandbox_lists import FilterArgument, sandbox_filter
from api.schema.sandboxes import Sandbox, sandbox

CURSOR = "Where the stream is; give the last one as `after` to go on from there."


@strawberry.enum(description="Why a sandbox left a live list.")
class RemovedReason(Enum):
    DELETED = strawberry.enum_value("deleted", description="It was deleted.")
    FILTERED = strawberry.enum_value("filtered", description="It is still there, but the filter no longer matches.")


@strawberry.type(description="The list as it is, in place of everything told before.")
class SandboxesReset:
    sandboxes: list[Sandbox] = strawberry.field(description="The sandboxes that match, newest first.")
    cursor: str = strawberry.field(description=CURSOR)
    truncated: bool = strawberry.field(
        description="There are more than fit; the oldest are left out, though their later changes are told."
    )
    expired: bool = strawberry.field(
        description="True when `after` is older than the event log, or too much has happened since: what happened in "
        "between is not told."
    )


@strawberry.type(description="A sandbox as it is now: new to the stream, or different from what it told before.")
class SandboxChanged:
    sandbox: Sandbox = strawberry.field(description="The sandbox.")
    cursor: str = strawberry.field(description=CURSOR)


@strawberry.type(description="A sandbox is no longer in the list.")
class SandboxRemoved:
    id: strawberry.ID = strawberry.field(description="The sandbox.")
    cursor: str = strawberry.field(description=CURSOR)
    reason: RemovedReason = strawberry.field(description="Why.")


@strawberry.type(
    description="Nothing was missed up to here: told at once on resuming, then when nothing happens for a while."
)
class Heartbeat:
    cursor: str = strawberry.field(description=CURSOR)
    at: datetime = strawberry.field(description="The platform's time.")


@strawberry.type(description="An operation as it is now.")
class OperationChanged:
    operation: Operation = strawberry.field(description="The operation.")
    cursor: str = strawberry.field(description=CURSOR)


@strawberry.type(description="What the team may have and has, as it is now.")
class QuotaChanged:
    quota: Quota = strawberry.field(description="The quota.")
    cursor: str = strawberry.field(description="Where the event log is.")


OperationEvent = Annotated[
    OperationChanged | Heartbeat,
    strawberry.union("OperationEvent", description="What a subscriber of an operation is told."),
]
QuotaEvent = Annotated[
    QuotaChanged | Heartbeat,
    strawberry.union("QuotaEvent", description="What a subscriber of a quota is told."),
]
SandboxListEvent = Annotated[
    SandboxesReset | SandboxChanged | SandboxRemoved | Heartbeat,
    strawberry.union("SandboxListEvent", description="What a subscriber of sandboxes is told."),
]


@strawberry.type(description="Streams, over WebSockets with the protocol graphql-transport-ws.")
class Subscription:
    @stream("A sandbox as it is now, then every change; ends after it is deleted.")
    async def sandbox(
        self,
        info: OperationInfo,
        sandbox_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="Its id: `sb-…`.")],
    ) -> AsyncGenerator[SandboxListEvent, None]:
        context = info.context
        found_id = parse_id(Kind.SANDBOX, sandbox_id, path=("id",))
        source = context.services.feed.sandbox(context.principal, found_id)
        async with aclosing(source) as events:
            async for event in events:
                yield await _converted(context, event)

    @stream("An operation as it is now, then every change of its progress and state; ends with it.")
    async def operation(
        self,
        info: OperationInfo,
        operation_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="Its id: `op-…`.")],
    ) -> AsyncGenerator[OperationEvent, None]:
        context = info.context
        found_id = parse_id(Kind.OPERATION, operation_id, path=("id",))
        source = context.services.feed.operations.watch(context.principal, found_id)
        async with aclosing(source) as events:
            async for event in events:
                if isinstance(event, domain.Heartbeat):
                    yield Heartbeat(cursor=event.cursor, at=event.at)
                else:
                    yield OperationChanged(operation=operation(event.operation), cursor=event.cursor)

    @stream("What your team may have and has, then every change of it; of many in a short time, the last.")
    async def quota(self, info: OperationInfo) -> AsyncGenerator[QuotaEvent, None]:
        async with aclosing(info.context.services.feed.quotas.watch(info.context.principal)) as events:
            async for event in events:
                if isinstance(event, domain.Heartbeat):
                    yield Heartbeat(cursor=event.cursor, at=event.at)
                else:
                    yield QuotaChanged(quota=quota(event.quota), cursor=event.cursor)

    @stream(
        "The live list: first all that match (`SandboxesReset`), then each that enters, changes or leaves. "
        "With `after`, a heartbeat at once and then only what happened since, or a reset when that is too long ago."
    )
    async def sandboxes(
        self,
        info: OperationInfo,
        criteria: FilterArgument = None,
        after: Annotated[
            str | None, strawberry.argument(description="A cursor of an earlier stream with the same filter.")
        ] = None,
    ) -> AsyncGenerator[SandboxListEvent, None]:
        context = info.context
        source = context.services.feed.sandboxes(context.principal, sandbox_filter(criteria), after)
        async with aclosing(source) as events:
            async for event in events:
                yield await _converted(context, event)


async def _converted(
    context: OperationContext, event: domain.FeedEvent
) -> SandboxesReset | SandboxChanged | SandboxRemoved | Heartbeat:
    match event:
        case domain.Reset():
            records = event.sandboxes
            missing = [record.id for record in records if record.last_operation is None]
            operations = (
                await context.services.operations.latest(context.principal, missing)
                if missing and "lastOperation" in context.selected
                else {}
            )
            nodes = [sandbox(record, last_operation=operations.get(record.id)) for record in records]
            return SandboxesReset(
                sandboxes=nodes, cursor=event.cursor, truncated=event.truncated, expired=event.expired
            )
        case domain.Changed():
            record = event.sandbox
            operation = record.last_operation
            if operation is None and "lastOperation" in context.selected:
                found = await context.services.operations.latest(context.principal, [record.id])
                operation = found.get(record.id)
            return SandboxChanged(sandbox=sandbox(record, last_operation=operation), cursor=event.cursor)
        case domain.Removed():
            sandbox_id = strawberry.ID(wire_id(Kind.SANDBOX, event.id))
            return SandboxRemoved(id=sandbox_id, cursor=event.cursor, reason=RemovedReason[event.reason.name])
        case domain.Heartbeat():
            return Heartbeat(cursor=event.cursor, at=event.at)
        case _:
            assert_never(event)

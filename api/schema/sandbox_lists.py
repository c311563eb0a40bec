"""Finding sandboxes: by id, and in filtered lists."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Annotated
from uuid import UUID

import strawberry

from api.domain import sandbox as domain
from api.domain.operation import Operation
from api.domain.page import Page
from api.domain.sandbox import UNREACHABLE, ShownState, State
from api.domain.text import check_text
from api.errors import Invalid
from api.ids import Kind, parse_id
from api.schema.context import OperationContext, OperationInfo
from api.schema.fields import resolved
from api.schema.labels import LabelInput, label_pairs
from api.schema.paging import After, Before, First, Last, PageInfo, encode_cursor, page_info, requested_page
from api.schema.sandboxes import Sandbox, SandboxState, sandbox

FILTER_TEXT_BYTES_MAX = 400
"""A name has at most 100 characters of at most 4 bytes each."""
FILTER_LABELS_MAX = 64
"""As many as a sandbox can have."""


@strawberry.input(description="Which sandboxes; all conditions must hold.")
class SandboxFilter:
    states: list[SandboxState] | None = strawberry.field(
        default=None, description="In one of these states; when it is left out, in any state but DELETED."
    )
    template_id: strawberry.ID | None = strawberry.field(default=None, description="Started from this template.")
    labels: list[LabelInput] | None = strawberry.field(default=None, description="With all these labels.")
    name_contains: str | None = strawberry.field(default=None, description="With this in the name; case is ignored.")
    created_after: datetime | None = strawberry.field(default=None, description="Created at this time or later.")
    created_before: datetime | None = strawberry.field(default=None, description="Created before this time.")


FilterArgument = Annotated[SandboxFilter | None, strawberry.argument(name="filter", description="Which sandboxes.")]
IdArgument = Annotated[strawberry.ID, strawberry.argument(name="id", description="Its id: `sb-…`.")]


@strawberry.enum(description="The order of a list of sandboxes.")
class SandboxOrder(Enum):
    NEWEST_FIRST = strawberry.enum_value("newest_first", description="The one created last comes first.")
    OLDEST_FIRST = strawberry.enum_value("oldest_first", description="The one created first comes first.")


OrderArgument = Annotated[SandboxOrder, strawberry.argument(description="Which come first.")]


@strawberry.type(description="A sandbox in a list.")
class SandboxEdge:
    node: Sandbox = strawberry.field(description="The sandbox.")
    cursor: str = strawberry.field(description="Its place in the list, for `after` and `before`.")


@strawberry.type(description="A page of sandboxes.")
class SandboxConnection:
    edges: list[SandboxEdge] = strawberry.field(description="The sandboxes of this page with their cursors.")
    nodes: list[Sandbox] = strawberry.field(description="The sandboxes of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @resolved("How many sandboxes the filter matches, on all pages. Counted only when asked for.")
    async def total_count(self) -> int:
        return await self.count()


@strawberry.type
class SandboxQueries:
    @resolved("A sandbox by its id, deleted ones too; null when there is no such sandbox.")
    async def sandbox(self, info: OperationInfo, sandbox_id: IdArgument) -> Sandbox | None:
        found_id = parse_id(Kind.SANDBOX, sandbox_id, path=("id",))
        record = await info.context.services.sandboxes.get(info.context.principal, found_id)
        return None if record is None else sandbox(record)

    @resolved("The sandboxes of your team, a page at a time.")
    async def sandboxes(
        self,
        info: OperationInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        criteria: FilterArgument = None,
        order_by: OrderArgument = SandboxOrder.NEWEST_FIRST,
    ) -> SandboxConnection:
        sandboxes, principal = info.context.services.sandboxes, info.context.principal
        page = requested_page(first, after, last, before)
        chosen = sandbox_filter(criteria)
        newest_first = order_by is SandboxOrder.NEWEST_FIRST
        found = await sandboxes.list(principal, chosen, page, newest_first=newest_first)
        return await _connection(info.context, found, partial(sandboxes.count, principal, chosen))


@strawberry.type
class SandboxAdministration:
    @resolved("A sandbox of any team by its id, deleted ones too; null when there is no such sandbox.")
    async def sandbox(self, info: OperationInfo, sandbox_id: IdArgument) -> Sandbox | None:
        found_id = parse_id(Kind.SANDBOX, sandbox_id, path=("id",))
        principal = info.context.principal
        record = await info.context.services.sandboxes.get_of_any_team(principal, found_id)
        return None if record is None else sandbox(record, foreign=record.team_id != principal.team_id)

    @resolved("The sandboxes of all teams, or of one, a page at a time.")
    async def sandboxes(
        self,
        info: OperationInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        criteria: FilterArgument = None,
        team_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only this team's.")] = None,
        order_by: OrderArgument = SandboxOrder.NEWEST_FIRST,
    ) -> SandboxConnection:
        sandboxes, principal = info.context.services.sandboxes, info.context.principal
        page = requested_page(first, after, last, before)
        chosen = sandbox_filter(criteria)
        team = None if team_id is None else parse_id(Kind.TEAM, team_id, path=("teamId",))
        newest_first = order_by is SandboxOrder.NEWEST_FIRST
        found = await sandboxes.list_of_all_teams(principal, team, chosen, page, newest_first=newest_first)
        return await _connection(info.context, found, partial(sandboxes.count_of_all_teams, principal, team, chosen))


async def _connection(
    context: OperationContext, found: Page[domain.Sandbox], count: Callable[[], Awaitable[int]]
) -> SandboxConnection:
    nodes = await _nodes(context, found)
    ids = [record.id for record in found.items]
    return SandboxConnection(
        edges=[SandboxEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)],
        nodes=nodes,
        page_info=page_info(found, ids),
        count=count,
    )


async def _nodes(context: OperationContext, page: Page[domain.Sandbox]) -> list[Sandbox]:
    operations: dict[UUID, Operation] = {}
    if "lastOperation" in context.selected:
        ids = [record.id for record in page.items]
        operations = await context.services.operations.latest(context.principal, ids)
    team_id = context.principal.team_id
    return [
        sandbox(record, last_operation=operations.get(record.id), foreign=record.team_id != team_id)
        for record in page.items
    ]


def sandbox_filter(given: SandboxFilter | None) -> domain.SandboxFilter:
    """The filter as services take it.

    Raises:
        Invalid: a malformed id, or texts that no name or label can hold.
    """
    if given is None:
        return domain.SandboxFilter()
    labels = label_pairs(given.labels)
    if len(labels) > FILTER_LABELS_MAX:
        raise Invalid(f"At most {FILTER_LABELS_MAX} labels can be asked for.", path=("filter", "labels"))
    for text in (given.name_contains or "", *(text for pair in labels for text in pair)):
        check_text(text, "A text in the filter", max_bytes=FILTER_TEXT_BYTES_MAX, path=("filter",))
    return domain.SandboxFilter(
        states=None if given.states is None else frozenset(_shown_state(state) for state in given.states),
        template_id=None
        if given.template_id is None
        else parse_id(Kind.TEMPLATE, given.template_id, path=("filter", "templateId")),
        labels=dict(labels),
        name_contains=given.name_contains,
        created_after=given.created_after,
        created_before=given.created_before,
    )


def _shown_state(state: SandboxState) -> ShownState:
    return UNREACHABLE if state is SandboxState.UNREACHABLE else State[state.name]

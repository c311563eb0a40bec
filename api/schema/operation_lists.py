"""Finding operations across teams, for platform admins."""

from typing import Annotated

import strawberry

from api.domain import operation as domain
from api.domain.page import Page
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.fields import resolved
from api.schema.operations import Operation, OperationKind, OperationState, operation
from api.schema.paging import After, Before, First, Last, PageInfo, encode_cursor, page_info, requested_page


@strawberry.input(description="Which operations; all conditions must hold.")
class OperationFilter:
    team_id: strawberry.ID | None = strawberry.field(default=None, description="Asked for by this team.")
    kind: OperationKind | None = strawberry.field(default=None, description="Of this kind.")
    state: OperationState | None = strawberry.field(default=None, description="In this state.")
    sandbox_id: strawberry.ID | None = strawberry.field(default=None, description="About this sandbox.")


@strawberry.type(description="An operation in a list.")
class OperationEdge:
    node: Operation = strawberry.field(description="The operation.")
    cursor: str = strawberry.field(description="Its place in the list, for `after` and `before`.")


@strawberry.type(description="A page of operations.")
class OperationConnection:
    edges: list[OperationEdge] = strawberry.field(description="The operations of this page with their cursors.")
    nodes: list[Operation] = strawberry.field(description="The operations of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")
    criteria: strawberry.Private[domain.OperationFilter]

    @resolved("How many operations the filter matches, on all pages. Counted only when asked for.")
    async def total_count(self, info: OperationInfo) -> int:
        return await info.context.services.operations.count_of_all_teams(info.context.principal, self.criteria)


@strawberry.type
class OperationAdministration:
    @resolved("The operations of all teams, the newest first, a page at a time.")
    async def operations(
        self,
        info: OperationInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        criteria: Annotated[
            OperationFilter | None, strawberry.argument(name="filter", description="Which operations.")
        ] = None,
    ) -> OperationConnection:
        page = requested_page(first, after, last, before)
        chosen = operation_filter(criteria)
        found = await info.context.services.operations.list_of_all_teams(info.context.principal, chosen, page)
        return _connection(found, chosen)


def operation_filter(given: OperationFilter | None) -> domain.OperationFilter:
    """The filter as services take it. Raises: Invalid, a malformed id."""
    if given is None:
        return domain.OperationFilter()
    return domain.OperationFilter(
        team_id=None if given.team_id is None else parse_id(Kind.TEAM, given.team_id, path=("filter", "teamId")),
        kind=None if given.kind is None else domain.OperationKind[given.kind.name],
        state=None if given.state is None else domain.OperationState[given.state.name],
        sandbox_id=None
        if given.sandbox_id is None
        else parse_id(Kind.SANDBOX, given.sandbox_id, path=("filter", "sandboxId")),
    )


def _connection(found: Page[domain.Operation], criteria: domain.OperationFilter) -> OperationConnection:
    nodes = [operation(record) for record in found.items]
    ids = [record.id for record in found.items]
    return OperationConnection(
        edges=[OperationEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)],
        nodes=nodes,
        page_info=page_info(found, ids),
        criteria=criteria,
    )

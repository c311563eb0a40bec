"""The members of the caller's team."""

from datetime import datetime

import strawberry

from api.domain import team as domain
from api.domain.page import Page
from api.ids import Kind, wire_id
from api.schema.context import OperationInfo
from api.schema.fields import resolved
from api.schema.node import Node
from api.schema.paging import PageInfo, encode_cursor, page_info
from api.schema.roles import Role


@strawberry.type(description="A person in your team; the id is the person's, `usr-…`.")
class Member(Node):
    email: str = strawberry.field(description="Their address.")
    name: str = strawberry.field(description="Their name; may be empty.")
    role: Role = strawberry.field(description="What they may do.")
    joined_at: datetime = strawberry.field(description="Since when they are in the team.")
    deactivated: bool = strawberry.field(description="Whether a platform admin has shut them out, of all teams.")


@strawberry.type(description="A member in a list.")
class MemberEdge:
    node: Member = strawberry.field(description="The member.")
    cursor: str = strawberry.field(description="Its place in the list, for `after` and `before`.")


@strawberry.type(description="A page of members.")
class MemberConnection:
    edges: list[MemberEdge] = strawberry.field(description="The members of this page with their cursors.")
    nodes: list[Member] = strawberry.field(description="The members of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")

    @resolved("How many members there are, on all pages. Counted only when asked for.")
    async def total_count(self, info: OperationInfo) -> int:
        return await info.context.services.memberships.count(info.context.principal)


def members(found: Page[domain.Member]) -> MemberConnection:
    """A page of members as clients see it."""
    nodes = [member(record) for record in found.items]
    ids = [record.membership_id for record in found.items]
    return MemberConnection(
        edges=[MemberEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)],
        nodes=nodes,
        page_info=page_info(found, ids),
    )


def member(record: domain.Member) -> Member:
    """A member as clients see them."""
    return Member(
        id=strawberry.ID(wire_id(Kind.USER, record.user_id)),
        email=record.email,
        name=record.name,
        role=Role[record.role.name],
        joined_at=record.joined_at,
        deactivated=record.deactivated_at is not None,
    )

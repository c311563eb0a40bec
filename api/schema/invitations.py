"""Invitations to the caller's team."""

from datetime import datetime

import strawberry

from api.domain import invitation as domain
from api.domain.page import Page
from api.ids import Kind, wire_id
from api.schema.context import OperationInfo
from api.schema.fields import resolved
from api.schema.paging import PageInfo, encode_cursor, page_info
from api.schema.roles import Role


@strawberry.type(description="An invitation that can still be accepted.")
class Invitation:
    id: strawberry.ID = strawberry.field(description="Its id: `inv-…`; not what is in its link.")
    email: str = strawberry.field(description="Whom it is for.")
    role: Role = strawberry.field(description="What they will be.")
    invited_by: str = strawberry.field(description="Who invites them; empty when a key of the command line did.")
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime = strawberry.field(description="When it ends by itself.")


@strawberry.type(description="An invitation in a list.")
class InvitationEdge:
    node: Invitation = strawberry.field(description="The invitation.")
    cursor: str = strawberry.field(description="Its place in the list, for `after` and `before`.")


@strawberry.type(description="A page of invitations.")
class InvitationConnection:
    edges: list[InvitationEdge] = strawberry.field(description="The invitations of this page with their cursors.")
    nodes: list[Invitation] = strawberry.field(description="The invitations of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")

    @resolved("How many invitations there are, on all pages. Counted only when asked for.")
    async def total_count(self, info: OperationInfo) -> int:
        return await info.context.services.invitations.count(info.context.principal)


def invitations(found: Page[domain.Invitation]) -> InvitationConnection:
    """A page of invitations as clients see it."""
    nodes = [invitation(record) for record in found.items]
    ids = [record.id for record in found.items]
    return InvitationConnection(
        edges=[
            InvitationEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)
        ],
        nodes=nodes,
        page_info=page_info(found, ids),
    )


def invitation(record: domain.Invitation) -> Invitation:
    """An invitation as clients see it."""
    return Invitation(
        id=strawberry.ID(wire_id(Kind.INVITATION, record.id)),
        email=record.email,
        role=Role[record.role.name],
        invited_by=record.invited_by,
        created_at=record.created_at,
        expires_at=record.expires_at,
    )

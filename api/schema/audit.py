"""The audit log."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.domain import audit as domain
from api.domain.page import Page
from api.ids import Kind, wire_id
from api.schema.paging import PageInfo, encode_cursor, page_info


@strawberry.type(
    description="One line of the audit log. Lines are never changed, and there are no secrets in them. Every mutation "
    "leaves one, but for those that were refused for want of rights: of the same actor, action and result one a minute."
)
class AuditLine:
    at: datetime = strawberry.field(description="When it was done.")
    team_id: strawberry.ID | None = strawberry.field(description="In which team; null for what belongs to none.")
    actor: str = strawberry.field(
        description="Who did it: `usr-…`, `key-…` or `host-…`; `system` for the owner of the installation at the "
        "command line; `anonymous` for somebody who could not prove who they are."
    )
    action: str = strawberry.field(
        description="What was done: the name of the mutation; `signIn`, `signOut`, `acceptInvitation`, `putFile`, "
        "`registerHost`; or the name of what the command line did."
    )
    target: str = strawberry.field(description="To what: its id; empty when it is not one thing.")
    result: str = strawberry.field(
        description="`OK` when it was done or, of a command to a host, accepted; else the code of the error, or "
        "`CANCELLED` for what was broken off."
    )
    request_id: str = strawberry.field(
        description="The request that did it: what the caller sent as `x-request-id`, and so the caller's word, or an "
        "id of ours if it sent none; empty at the command line."
    )
    address: str = strawberry.field(description="Where the request came from.")


@strawberry.type(description="A line in a list.")
class AuditEdge:
    node: AuditLine = strawberry.field(description="The line.")
    cursor: str = strawberry.field(description="Its place in the list, for `after`.")


@strawberry.type(description="A page of the audit log.")
class AuditConnection:
    edges: list[AuditEdge] = strawberry.field(description="The lines of this page with their cursors.")
    nodes: list[AuditLine] = strawberry.field(description="The lines of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")


@strawberry.input(description="Which lines; what is left out does not matter.")
class AuditFilter:
    actor: str | None = strawberry.field(default=None, description="Only what this one did.")
    action: str | None = strawberry.field(default=None, description="Only this action.")
    target: str | None = strawberry.field(default=None, description="Only what was done to this.")
    refused: bool | None = strawberry.field(
        default=None, description="Only what was refused or failed at once, or only what was not."
    )


AuditArgument = Annotated[AuditFilter | None, strawberry.argument(name="filter", description="Which lines.")]


def chosen(criteria: AuditFilter | None) -> domain.AuditFilter:
    """The filter as services take it."""
    if criteria is None:
        return domain.AuditFilter()
    return domain.AuditFilter(criteria.actor, criteria.action, criteria.target, criteria.refused)


def audit_log(found: Page[domain.AuditLine]) -> AuditConnection:
    """A page of lines as clients see it."""
    nodes = [_line(record) for record in found.items]
    ids = [record.id for record in found.items]
    return AuditConnection(
        edges=[AuditEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)],
        nodes=nodes,
        page_info=page_info(found, ids),
    )


def _line(record: domain.AuditLine) -> AuditLine:
    return AuditLine(
        at=record.at,
        team_id=None if record.team_id is None else strawberry.ID(wire_id(Kind.TEAM, record.team_id)),
        actor=record.actor,
        action=record.action,
        target=record.target,
        result=record.result,
        request_id=record.request_id,
        address=record.address,
    )

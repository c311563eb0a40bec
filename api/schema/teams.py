"""The caller's team: the people in it, those invited to it, and its keys."""

from datetime import datetime

import strawberry

from api.domain import team as domain
from api.ids import Kind, wire_id
from api.schema.api_keys import ApiKeyConnection, api_keys
from api.schema.audit import AuditArgument, AuditConnection, audit_log, chosen
from api.schema.context import OperationInfo
from api.schema.fields import resolved
from api.schema.invitations import InvitationConnection, invitations
from api.schema.members import MemberConnection, members
from api.schema.node import Node
from api.schema.paging import After, Before, First, Last, requested_page


@strawberry.type(description="The team that you act for: who owns sandboxes and templates.")
class Team(Node):
    name: str = strawberry.field(description="Its name.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @resolved("Its members, in the order in which they joined, a page at a time.")
    async def members(
        self, info: OperationInfo, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> MemberConnection | None:
        page = requested_page(first, after, last, before)
        return members(await info.context.services.memberships.list(info.context.principal, page))

    @resolved("Invitations that can be accepted, the newest first, a page at a time. Needs the scope TEAM_ADMIN.")
    async def invitations(
        self, info: OperationInfo, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> InvitationConnection | None:
        page = requested_page(first, after, last, before)
        return invitations(await info.context.services.invitations.list(info.context.principal, page))

    @resolved("Its API keys, the newest first, ended ones too, a page at a time. Needs the scope TEAM_ADMIN.")
    async def api_keys(
        self, info: OperationInfo, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> ApiKeyConnection | None:
        page = requested_page(first, after, last, before)
        return api_keys(await info.context.services.api_keys.list(info.context.principal, page))

    @resolved("What was done in it, and by whom, the newest first, a page at a time. Needs the scope TEAM_ADMIN.")
    async def audit_log(
        self, info: OperationInfo, first: First = None, after: After = None, criteria: AuditArgument = None
    ) -> AuditConnection | None:
        page = requested_page(first, after, None, None)
        return audit_log(await info.context.services.audit.of_team(info.context.principal, chosen(criteria), page))


@strawberry.type
class TeamQueries:
    @resolved("The team that you act for.")
    async def team(self, info: OperationInfo) -> Team | None:
        record = await info.context.services.teams.own(info.context.principal)
        return None if record is None else team(record)


def team(record: domain.Team) -> Team:
    """The caller's team as clients see it."""
    return Team(id=strawberry.ID(wire_id(Kind.TEAM, record.id)), name=record.name, created_at=record.created_at)

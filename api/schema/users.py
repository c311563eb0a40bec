"""People and teams of the whole platform, for platform admins."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from api.domain import team as teams_domain
from api.domain import user as domain
from api.domain.page import Page
from api.domain.quota import Quota as QuotaRecord
from api.domain.text import check_text
from api.domain.user import EMAIL_BYTES_MAX
from api.errors import NestboxError
from api.ids import Kind, parse_id, wire_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.fields import command, resolved
from api.schema.paging import After, Before, First, Last, PageInfo, encode_cursor, page_info, requested_page
from api.schema.quotas import Quota, quota


@strawberry.type(description="What deactivating a person stops, or stopped.")
class Deactivation:
    session_count: int = strawberry.field(description="Sessions that end.")
    key_count: int = strawberry.field(description="API keys that they made, which open nothing until they are back.")
    sandbox_ids: list[strawberry.ID] = strawberry.field(
        description="Running sandboxes of any team that they, or these keys, created: they are paused."
    )


@strawberry.type(description="A person with an account.")
class User:
    id: strawberry.ID = strawberry.field(description="Their id: `usr-…`.")
    email: str = strawberry.field(description="Their address.")
    name: str = strawberry.field(description="Their name; may be empty.")
    is_platform_admin: bool = strawberry.field(description="Whether `admin` is open to them.")
    created_at: datetime = strawberry.field(description="When the account was made.")
    deactivated_at: datetime | None = strawberry.field(description="Since when they are shut out.")
    record_id: strawberry.Private[UUID]

    @resolved("What deactivating them would stop now.")
    async def deactivation_preview(self, info: OperationInfo) -> Deactivation:
        return _deactivation(
            await info.context.services.users.preview_deactivation(info.context.principal, self.record_id)
        )


@strawberry.type(description="A person in a list.")
class UserEdge:
    node: User = strawberry.field(description="The person.")
    cursor: str = strawberry.field(description="Its place in the list, for `after` and `before`.")


@strawberry.type(description="A page of people.")
class UserConnection:
    edges: list[UserEdge] = strawberry.field(description="The people of this page with their cursors.")
    nodes: list[User] = strawberry.field(description="The people of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")
    email_contains: strawberry.Private[str | None]

    @resolved("How many people match, on all pages. Counted only when asked for.")
    async def total_count(self, info: OperationInfo) -> int:
        return await info.context.services.users.count(info.context.principal, self.email_contains)


@strawberry.type(description="A team as platform admins see it.")
class TeamSummary:
    id: strawberry.ID = strawberry.field(description="Its id: `team-…`.")
    name: str = strawberry.field(description="Its name.")
    created_at: datetime = strawberry.field(description="When it was made.")
    member_count: int = strawberry.field(description="How many people are in it.")
    sandbox_count: int = strawberry.field(description="How many sandboxes it has that are not deleted.")
    quota: Quota | None = strawberry.field(description="What it may have, and has.")


@strawberry.type(description="A team in a list.")
class TeamSummaryEdge:
    node: TeamSummary = strawberry.field(description="The team.")
    cursor: str = strawberry.field(description="Its place in the list, for `after` and `before`.")


@strawberry.type(description="A page of teams.")
class TeamSummaryConnection:
    edges: list[TeamSummaryEdge] = strawberry.field(description="The teams of this page with their cursors.")
    nodes: list[TeamSummary] = strawberry.field(description="The teams of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")

    @resolved("How many teams there are, on all pages. Counted only when asked for.")
    async def total_count(self, info: OperationInfo) -> int:
        return await info.context.services.teams.count(info.context.principal)


@strawberry.type
class PeopleAdministration:
    @resolved("All people, the oldest account first, a page at a time.")
    async def users(
        self,
        info: OperationInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        email_contains: Annotated[
            str | None, strawberry.argument(description="Only addresses with this text in them.")
        ] = None,
    ) -> UserConnection:
        page = requested_page(first, after, last, before)
        if email_contains is not None:
            check_text(email_contains, "The text", max_bytes=EMAIL_BYTES_MAX, path=("emailContains",))
        found = await info.context.services.users.list(info.context.principal, email_contains, page)
        return _users(found, email_contains)

    @resolved("A person by their id; null when there is none.")
    async def user(
        self,
        info: OperationInfo,
        user_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="Their id: `usr-…`.")],
    ) -> User | None:
        found_id = parse_id(Kind.USER, user_id, path=("id",))
        record = await info.context.services.users.get(info.context.principal, found_id)
        return None if record is None else user(record)

    @resolved("All teams, the oldest first, a page at a time.")
    async def teams(
        self, info: OperationInfo, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> TeamSummaryConnection:
        page = requested_page(first, after, last, before)
        context = info.context
        found = await context.services.teams.list(context.principal, page)
        team_ids = [record.team.id for record in found.items] if "quota" in context.selected else []
        quotas = await context.services.quotas.of_teams(context.principal, team_ids) if team_ids else {}
        return _teams(found, quotas)


@strawberry.input(description="Which person.")
class AdminDeactivateUserInput:
    id: strawberry.ID = strawberry.field(description="Their id: `usr-…`.")


@strawberry.input(description="Which person.")
class AdminActivateUserInput:
    id: strawberry.ID = strawberry.field(description="Their id: `usr-…`.")


@strawberry.input(description="Which person, and whether they are to be a platform admin.")
class AdminSetPlatformAdminInput:
    id: strawberry.ID = strawberry.field(description="Their id: `usr-…`.")
    is_platform_admin: bool = strawberry.field(description="Whether they are to be one.")


@strawberry.type(description="What became of `adminDeactivateUser`.")
class AdminDeactivateUserPayload:
    user: User | None = strawberry.field(default=None, description="The person; null when it was refused.")
    stopped: Deactivation | None = strawberry.field(default=None, description="What it stopped.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What became of `adminActivateUser`.")
class AdminActivateUserPayload:
    user: User | None = strawberry.field(default=None, description="The person; null when it was refused.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What became of `adminSetPlatformAdmin`.")
class AdminSetPlatformAdminPayload:
    user: User | None = strawberry.field(default=None, description="The person; null when it was refused.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class UserCommands:
    @command(
        "Shuts a person out, at once: their sessions end, their keys open nothing, their invitations are taken back, "
        "and running sandboxes that they created are paused. The last platform admin cannot be. For platform admins."
    )
    async def admin_deactivate_user(
        self,
        info: OperationInfo,
        which: Annotated[AdminDeactivateUserInput, strawberry.argument(name="input", description="Which person.")],
    ) -> AdminDeactivateUserPayload:
        context = info.context
        try:
            changed, stopped = await context.services.users.deactivate(context.principal, _id(which.id))
        except NestboxError as error:
            return AdminDeactivateUserPayload(user_errors=[user_error(error)])
        return AdminDeactivateUserPayload(user=user(changed), stopped=_deactivation(stopped))

    @command("Lets a deactivated person in again; they have to sign in anew. For platform admins.")
    async def admin_activate_user(
        self,
        info: OperationInfo,
        which: Annotated[AdminActivateUserInput, strawberry.argument(name="input", description="Which person.")],
    ) -> AdminActivateUserPayload:
        context = info.context
        try:
            changed = await context.services.users.activate(context.principal, _id(which.id))
        except NestboxError as error:
            return AdminActivateUserPayload(user_errors=[user_error(error)])
        return AdminActivateUserPayload(user=user(changed))

    @command("Makes somebody a platform admin, or no longer one. The last one stays. For platform admins.")
    async def admin_set_platform_admin(
        self,
        info: OperationInfo,
        wanted: Annotated[AdminSetPlatformAdminInput, strawberry.argument(name="input", description="Who and what.")],
    ) -> AdminSetPlatformAdminPayload:
        context = info.context
        try:
            changed = await context.services.users.set_platform_admin(
                context.principal, _id(wanted.id), is_platform_admin=wanted.is_platform_admin
            )
        except NestboxError as error:
            return AdminSetPlatformAdminPayload(user_errors=[user_error(error)])
        return AdminSetPlatformAdminPayload(user=user(changed))


def user(record: domain.User) -> User:
    """A person as platform admins see them."""
    return User(
        id=strawberry.ID(wire_id(Kind.USER, record.id)),
        email=record.email,
        name=record.name,
        is_platform_admin=record.is_platform_admin,
        created_at=record.created_at,
        deactivated_at=record.deactivated_at,
        record_id=record.id,
    )


def _users(found: Page[domain.User], email_contains: str | None) -> UserConnection:
    nodes = [user(record) for record in found.items]
    ids = [record.id for record in found.items]
    return UserConnection(
        edges=[UserEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)],
        nodes=nodes,
        page_info=page_info(found, ids),
        email_contains=email_contains,
    )


def _teams(found: Page[teams_domain.TeamSummary], quotas: Mapping[UUID, QuotaRecord]) -> TeamSummaryConnection:
    ids = [record.team.id for record in found.items]
    nodes = [
        TeamSummary(
            id=strawberry.ID(wire_id(Kind.TEAM, record.team.id)),
            name=record.team.name,
            created_at=record.team.created_at,
            member_count=record.member_count,
            sandbox_count=record.sandbox_count,
            quota=quota(quotas[record.team.id]) if record.team.id in quotas else None,
        )
        for record in found.items
    ]
    return TeamSummaryConnection(
        edges=[
            TeamSummaryEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)
        ],
        nodes=nodes,
        page_info=page_info(found, ids),
    )


def _deactivation(record: domain.Deactivation) -> Deactivation:
    return Deactivation(
        session_count=record.session_count,
        key_count=record.key_count,
        sandbox_ids=[strawberry.ID(wire_id(Kind.SANDBOX, sandbox_id)) for sandbox_id in record.sandbox_ids],
    )


def _id(text: str) -> UUID:
    return parse_id(Kind.USER, text, path=("id",))

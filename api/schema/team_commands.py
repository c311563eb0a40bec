"""Making and switching teams, one's password, and who is in the team."""

from typing import Annotated
from uuid import UUID

import strawberry

from api.domain import principal as domain
from api.domain.team import TeamOfUser
from api.errors import NestboxError
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.fields import command
from api.schema.invitations import Invitation, invitation
from api.schema.members import Member, member
from api.schema.roles import Role
from api.schema.viewer import ViewerTeam, viewer_team

INVITATION_PATH = "/invitation"
"""A page of the dashboard; the token is in the fragment, so that it reaches no log."""


@strawberry.input(description="What a new team is to be.")
class CreateTeamInput:
    name: str = strawberry.field(description="Its name, at most 100 bytes; need not be unique.")


@strawberry.input(description="Which team.")
class SwitchTeamInput:
    team_id: strawberry.ID = strawberry.field(description="One of `viewer.teams`.")


@strawberry.type(description="What became of `createTeam`.")
class CreateTeamPayload:
    team: ViewerTeam | None = strawberry.field(default=None, description="The team; null when it was refused.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What became of `switchTeam`.")
class SwitchTeamPayload:
    team: ViewerTeam | None = strawberry.field(default=None, description="The team; null when it was refused.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Whom to invite.")
class InviteMemberInput:
    email: str = strawberry.field(description="Their address.")
    role: Role = strawberry.field(default=Role.MEMBER, description="What they will be.")


@strawberry.type(description="What became of `inviteMember`.")
class InviteMemberPayload:
    invitation: Invitation | None = strawberry.field(
        default=None, description="The invitation; null when it was refused."
    )
    link: str | None = strawberry.field(
        default=None,
        description="Where to accept it, once, within seven days: this is the only time that it can be seen. A path of "
        "this platform, or a whole address when the platform knows its own (NESTBOX_PUBLIC_URL).",
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Which invitation.")
class RevokeInvitationInput:
    id: strawberry.ID = strawberry.field(description="Its id: `inv-…`.")


@strawberry.input(description="Which member, and what they are to be.")
class ChangeMemberRoleInput:
    user_id: strawberry.ID = strawberry.field(description="The member's id: `usr-…`.")
    role: Role = strawberry.field(description="The new role.")


@strawberry.input(description="Which member.")
class RemoveMemberInput:
    user_id: strawberry.ID = strawberry.field(description="The member's id: `usr-…`.")


@strawberry.input(description="Who is to be the owner.")
class TransferOwnershipInput:
    user_id: strawberry.ID = strawberry.field(description="The member's id: `usr-…`.")


@strawberry.input(description="Which team.")
class LeaveTeamInput:
    team_id: strawberry.ID = strawberry.field(description="One of `viewer.teams`.")


@strawberry.type(description="What became of `changeMemberRole`.")
class ChangeMemberRolePayload:
    member: Member | None = strawberry.field(
        default=None, description="The member as they are now; null when it was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What became of `removeMember`.")
class RemoveMemberPayload:
    member: Member | None = strawberry.field(
        default=None, description="The member as they were; null when it was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What became of `transferOwnership`.")
class TransferOwnershipPayload:
    member: Member | None = strawberry.field(default=None, description="The new owner; null when it was refused.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The old password and the new one.")
class ChangePasswordInput:
    current_password: str = strawberry.field(
        description="Your password now; anything when you have none yet, since you sign in by another service."
    )
    new_password: str = strawberry.field(description="Your password from now on: at least 10 characters.")


@strawberry.type(description="What became of `leaveTeam`.")
class LeaveTeamPayload:
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What became of `changePassword`.")
class ChangePasswordPayload:
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What became of `revokeInvitation`.")
class RevokeInvitationPayload:
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class TeamCommands:
    @command("Makes a team, whose owner you are. For people; you go on to act for the team that you acted for.")
    async def create_team(
        self,
        info: OperationInfo,
        wanted: Annotated[CreateTeamInput, strawberry.argument(name="input", description="What it is to be.")],
    ) -> CreateTeamPayload:
        context = info.context
        try:
            made = await context.services.teams.create(context.principal, wanted.name)
        except NestboxError as error:
            return CreateTeamPayload(user_errors=[user_error(error)])
        return CreateTeamPayload(team=viewer_team(TeamOfUser(made, domain.Role.OWNER)))

    @command("Lets your session act for another of your teams, from the next request on.")
    async def switch_team(
        self,
        info: OperationInfo,
        which: Annotated[SwitchTeamInput, strawberry.argument(name="input", description="Which team.")],
    ) -> SwitchTeamPayload:
        context = info.context
        try:
            team_id = parse_id(Kind.TEAM, which.team_id, path=("teamId",))
            found = await context.services.sessions.switch_team(context.principal, team_id)
        except NestboxError as error:
            return SwitchTeamPayload(user_errors=[user_error(error)])
        return SwitchTeamPayload(team=viewer_team(found))

    @command("Takes you out of one of your teams. Its last owner cannot leave.")
    async def leave_team(
        self,
        info: OperationInfo,
        which: Annotated[LeaveTeamInput, strawberry.argument(name="input", description="Which team.")],
    ) -> LeaveTeamPayload:
        try:
            team_id = parse_id(Kind.TEAM, which.team_id, path=("teamId",))
            await info.context.services.memberships.leave(info.context.principal, team_id)
        except NestboxError as error:
            return LeaveTeamPayload(user_errors=[user_error(error)])
        return LeaveTeamPayload()

    @command("Replaces your password and ends your other sessions.")
    async def change_password(
        self,
        info: OperationInfo,
        given: Annotated[ChangePasswordInput, strawberry.argument(name="input", description="Old and new.")],
    ) -> ChangePasswordPayload:
        context = info.context
        try:
            await context.services.users.change_password(
                context.principal, given.current_password, given.new_password, context.address
            )
        except NestboxError as error:
            return ChangePasswordPayload(user_errors=[user_error(error)])
        return ChangePasswordPayload()


@strawberry.type
class MemberCommands:
    @command(
        "Invites somebody to your team by a link that works once; an open invitation for the same address is replaced. "
        "Needs the scope TEAM_ADMIN."
    )
    async def invite_member(
        self,
        info: OperationInfo,
        wanted: Annotated[InviteMemberInput, strawberry.argument(name="input", description="Whom to invite.")],
    ) -> InviteMemberPayload:
        context = info.context
        role = domain.Role[wanted.role.name]
        try:
            made = await context.services.invitations.create(context.principal, wanted.email, role)
        except NestboxError as error:
            return InviteMemberPayload(user_errors=[user_error(error)])
        link = f"{context.public_url}{INVITATION_PATH}#{made.token}"
        return InviteMemberPayload(invitation=invitation(made.invitation), link=link)

    @command("Takes an open invitation back. Needs the scope TEAM_ADMIN.")
    async def revoke_invitation(
        self,
        info: OperationInfo,
        which: Annotated[RevokeInvitationInput, strawberry.argument(name="input", description="Which one.")],
    ) -> RevokeInvitationPayload:
        context = info.context
        try:
            invitation_id = parse_id(Kind.INVITATION, which.id, path=("id",))
            await context.services.invitations.revoke(context.principal, invitation_id)
        except NestboxError as error:
            return RevokeInvitationPayload(user_errors=[user_error(error)])
        return RevokeInvitationPayload()

    @command("Gives a member another role. Only owners make and change owners. Needs the scope TEAM_ADMIN.")
    async def change_member_role(
        self,
        info: OperationInfo,
        wanted: Annotated[ChangeMemberRoleInput, strawberry.argument(name="input", description="Who and what.")],
    ) -> ChangeMemberRolePayload:
        context = info.context
        role = domain.Role[wanted.role.name]
        try:
            changed = await context.services.memberships.change_role(context.principal, _user(wanted.user_id), role)
        except NestboxError as error:
            return ChangeMemberRolePayload(user_errors=[user_error(error)])
        return ChangeMemberRolePayload(member=member(changed))

    @command(
        "Takes a member out of the team, at once: within five seconds their open streams end too. The keys that they "
        "made for it are revoked. Needs the scope TEAM_ADMIN."
    )
    async def remove_member(
        self,
        info: OperationInfo,
        which: Annotated[RemoveMemberInput, strawberry.argument(name="input", description="Which member.")],
    ) -> RemoveMemberPayload:
        context = info.context
        try:
            removed = await context.services.memberships.remove(context.principal, _user(which.user_id))
        except NestboxError as error:
            return RemoveMemberPayload(user_errors=[user_error(error)])
        return RemoveMemberPayload(member=member(removed))

    @command("Makes another member an owner of the team in your place; you become an admin of it. For owners.")
    async def transfer_ownership(
        self,
        info: OperationInfo,
        which: Annotated[
            TransferOwnershipInput, strawberry.argument(name="input", description="Who is to be the owner.")
        ],
    ) -> TransferOwnershipPayload:
        context = info.context
        try:
            changed = await context.services.memberships.transfer_ownership(context.principal, _user(which.user_id))
        except NestboxError as error:
            return TransferOwnershipPayload(user_errors=[user_error(error)])
        return TransferOwnershipPayload(member=member(changed))


def _user(text: str) -> UUID:
    return parse_id(Kind.USER, text, path=("userId",))

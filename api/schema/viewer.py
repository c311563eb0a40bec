"""Who is asking."""

import strawberry

from api.domain.principal import NO_TEAM_ID, PrincipalKind
from api.domain.team import TeamOfUser
from api.ids import Kind, wire_id
from api.schema.context import OperationInfo
from api.schema.fields import resolved
from api.schema.roles import Role, Scope, shown_scopes


@strawberry.type(description="A team that you are in.")
class ViewerTeam:
    id: strawberry.ID = strawberry.field(description="Its id: `team-…`.")
    name: str = strawberry.field(description="Its name.")
    role: Role = strawberry.field(description="Your role in it.")


@strawberry.type(
    description="Who you are to the platform: an API key that acts for its team, or a person in a session, who acts "
    "for one of their teams at a time."
)
class Viewer:
    id: strawberry.ID = strawberry.field(
        description="The id of the person (`usr-…`), or of the key (`key-…`; not the key itself)."
    )
    name: str = strawberry.field(description="The name of the key, or that of the person, else their address.")
    team_id: strawberry.ID | None = strawberry.field(
        description="The team that you act for; null for a person who is in none."
    )
    team_name: str = strawberry.field(description="The name of that team; empty without one.")
    key_id: strawberry.ID | None = strawberry.field(description="The id of the key; null for a person.")
    key_name: str | None = strawberry.field(description="The name of the key; null for a person.")
    email: str | None = strawberry.field(description="The address of the person; null for a key.")
    role: Role | None = strawberry.field(description="The person's role in the team; null for a key.")
    scopes: list[Scope] = strawberry.field(description="What you may do in the team.")
    is_platform_admin: bool = strawberry.field(description="Whether `admin` is open to you.")

    @resolved("The teams that you can switch to, the oldest membership first; none for a key.")
    async def teams(self, info: OperationInfo) -> list[ViewerTeam]:
        return [viewer_team(found) for found in await info.context.services.teams.of_caller(info.context.principal)]


@strawberry.type(
    description="What your team uses of the disks of hosts, in bytes: blocks as hosts last said, not sizes of files."
)
class Usage:
    disk_bytes: float = strawberry.field(description="All of it.")
    sandbox_bytes: float = strawberry.field(description="By sandboxes that are not deleted: disks and saved memory.")
    template_bytes: float = strawberry.field(description="By templates that belong to the team.")


@strawberry.type
class ViewerQueries:
    @resolved("What your team uses.")
    async def usage(self, info: OperationInfo) -> Usage:
        used = await info.context.services.usages.of_team(info.context.principal)
        return Usage(
            disk_bytes=float(used.disk_bytes),
            sandbox_bytes=float(used.sandbox_bytes),
            template_bytes=float(used.template_bytes),
        )

    @resolved("Who you are to the platform.")
    async def viewer(self, info: OperationInfo) -> Viewer:
        principal = info.context.principal
        is_key = principal.kind is PrincipalKind.KEY
        me = await info.context.services.users.me(principal) if "email" in info.context.selected else None
        return Viewer(
            id=strawberry.ID(principal.actor),
            name=principal.name,
            team_id=None if principal.team_id == NO_TEAM_ID else strawberry.ID(wire_id(Kind.TEAM, principal.team_id)),
            team_name=principal.team_name,
            key_id=strawberry.ID(principal.actor) if is_key else None,
            key_name=principal.name if is_key else None,
            email=None if me is None else me.email,
            role=None if principal.role is None else Role[principal.role.name],
            scopes=shown_scopes(principal.scopes),
            is_platform_admin=principal.is_platform_admin,
        )


def viewer_team(record: TeamOfUser) -> ViewerTeam:
    """A team of the caller as clients see it."""
    return ViewerTeam(
        id=strawberry.ID(wire_id(Kind.TEAM, record.team.id)), name=record.team.name, role=Role[record.role.name]
    )

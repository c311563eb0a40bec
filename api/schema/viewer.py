"""Who is asking."""

import strawberry

from api.ids import Kind, wire_id
from api.schema.context import OperationInfo
from api.schema.fields import resolved


@strawberry.type(description="Who you are to the platform: an API key that acts for a team.")
class Viewer:
    team_id: strawberry.ID = strawberry.field(description="The team that the key acts for.")
    team_name: str = strawberry.field(description="The name of that team.")
    key_id: strawberry.ID = strawberry.field(description="The id of the key; not the key itself.")
    key_name: str = strawberry.field(description="The name of the key.")
    is_platform_admin: bool = strawberry.field(description="Whether `admin` is open to it.")


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
    def viewer(self, info: OperationInfo) -> Viewer:
        principal = info.context.principal
        return Viewer(
            team_id=strawberry.ID(wire_id(Kind.TEAM, principal.team_id)),
            team_name=principal.team_name,
            key_id=strawberry.ID(wire_id(Kind.API_KEY, principal.api_key_id)),
            key_name=principal.name,
            is_platform_admin=principal.is_platform_admin,
        )

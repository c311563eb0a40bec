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


@strawberry.type
class ViewerQueries:
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

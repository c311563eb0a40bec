"""Roles of members, and scopes of callers."""

from collections.abc import Iterable
from enum import Enum

import strawberry

from api.domain import principal as domain


@strawberry.enum(description="What a member may do in a team.")
class Role(Enum):
    OWNER = strawberry.enum_value("owner", description="Everything; every team has one at least.")
    ADMIN = strawberry.enum_value("admin", description="Everything but making, changing and removing owners.")
    MEMBER = strawberry.enum_value("member", description="Make and use sandboxes and templates.")


@strawberry.enum(description="What a caller may do in the team that it acts for. Each includes those before it.")
class Scope(Enum):
    READ = strawberry.enum_value("read", description="Look at everything, and read files of sandboxes.")
    WRITE = strawberry.enum_value("write", description="Make, change and use sandboxes and templates.")
    TEAM_ADMIN = strawberry.enum_value("team_admin", description="Administer the team: its members and its keys.")


def shown_scopes(scopes: Iterable[domain.Scope]) -> list[Scope]:
    """Scopes as clients see them, in their order."""
    given = set(scopes)
    return [Scope[scope.name] for scope in domain.Scope if scope in given]

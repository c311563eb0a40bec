"""Who is asking, and what they may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from api.errors import Forbidden, MissingScope

NO_TEAM_ID = UUID(int=(1 << 128) - 1)
"""The team of a person who is in none: the largest UUID, which no row has. Such a person has no scopes either."""


class Role(StrEnum):
    """What a member may do in a team."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


class Scope(StrEnum):
    """What a caller may do in the team that it acts for. Each includes those before it."""

    READ = "read"
    WRITE = "write"
    TEAM_ADMIN = "team_admin"


ALL_SCOPES = frozenset(Scope)
_ORDER = tuple(Scope)


class PrincipalKind(StrEnum):
    """What an authenticated caller is."""

    USER = "user"
    KEY = "key"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller, acting for one team: a person in a session, an API key, or the platform itself.

    `id` is the user's or the key's, and `role` is a person's role in the team.
    """

    kind: PrincipalKind
    id: UUID
    name: str
    team_id: UUID
    scopes: frozenset[Scope]
    is_platform_admin: bool = False
    team_name: str = ""
    role: Role | None = None
    session_id: UUID | None = None

    @property
    def counted_as(self) -> UUID:
        """For whom requests and connections are counted: the team, or a person who is in none."""
        return self.id if self.team_id == NO_TEAM_ID else self.team_id

    @property
    def actor(self) -> str:
        """As events, operations and the audit log name it: `usr-<uuid>`, `key-<uuid>` or `system`."""
        match self.kind:
            case PrincipalKind.USER:
                return f"usr-{self.id}"
            case PrincipalKind.KEY:
                return f"key-{self.id}"
            case PrincipalKind.SYSTEM:
                return SYSTEM_ACTOR


SYSTEM_ACTOR = "system"
"""The actor of what nobody asked for: reports of hosts, the reconciler."""


def scopes_of(role: Role | None) -> frozenset[Scope]:
    """What a role allows in its team; nothing without one."""
    match role:
        case Role.OWNER | Role.ADMIN:
            return ALL_SCOPES
        case Role.MEMBER:
            return frozenset({Scope.READ, Scope.WRITE})
        case None:
            return frozenset()


def with_included(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """These scopes and those that they include."""
    given = set(scopes)
    highest = max((_ORDER.index(scope) for scope in given), default=-1)
    return frozenset(_ORDER[: highest + 1])


def require(principal: Principal, scope: Scope) -> None:
    """Returns if the caller may do this kind of thing in its team.

    Raises:
        MissingScope: it may not.
    """
    if scope in principal.scopes:
        return
    if principal.team_id == NO_TEAM_ID:
        raise MissingScope("You are in no team. Ask for an invitation, or create a team.")
    raise MissingScope(f"This needs the scope {scope.name}, which you do not have in this team.")


def require_sight(principal: Principal) -> UUID | None:
    """The team in which the caller sees what belongs to what it sees already; None, every team, for platform admins.

    Raises:
        MissingScope: it may not even read in its own team.
    """
    if principal.is_platform_admin:
        return None
    require(principal, Scope.READ)
    return principal.team_id


def require_user(principal: Principal) -> None:
    """Returns if the caller is a person. Raises: Forbidden."""
    if principal.kind is not PrincipalKind.USER:
        raise Forbidden("Only a person who is signed in can do this, an API key cannot.")


def require_platform_admin(principal: Principal) -> None:
    """Returns if the caller may see and steer what crosses teams. Raises: Forbidden."""
    if not principal.is_platform_admin:
        raise Forbidden("Only platform admins can see and do this.")

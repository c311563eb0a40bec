"""Rights, asked for again where they are handed on. What was found out about a caller is believed for some seconds
(`beliefs.py`): too long for a change that gives somebody rights which stay."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from api.db import api_keys, memberships, users
from api.db.database import Statements
from api.domain.principal import Principal, PrincipalKind, Role, Scope, require_platform_admin, scopes_of
from api.errors import MissingScope


async def acting_role(transaction: Statements, principal: Principal, now: datetime) -> Role | None:
    """The caller's role in its team now, under the team's lock; a key has none, and stays good until the transaction is
    over.

    Raises:
        MissingScope: the caller was removed, deactivated or revoked, or may no longer administer the team.
    """
    role: Role | None = None
    if principal.kind is PrincipalKind.KEY:
        key = await api_keys.hold(transaction, principal.id, now)
        may = key is not None and Scope.TEAM_ADMIN in key.principal.scopes
    else:
        member = await memberships.get(transaction, principal.team_id, principal.id)
        role = None if member is None or member.deactivated_at is not None else member.role
        may = Scope.TEAM_ADMIN in scopes_of(role)
    if not may:
        raise MissingScope("You may not administer this team.")
    return role


async def lock_platform_admins(transaction: Statements, principal: Principal, now: datetime) -> frozenset[UUID]:
    """The platform admins who can sign in, as `users.lock_platform_admins`, if the caller is a platform admin now. A
    team that is locked too is locked before.

    Raises:
        Forbidden: it is none, or none any more.
    """
    admins = await users.lock_platform_admins(transaction)
    if principal.kind is PrincipalKind.KEY:
        key = await api_keys.hold(transaction, principal.id, now)
        is_one = key is not None and key.principal.is_platform_admin
    else:
        is_one = principal.id in admins
    require_platform_admin(replace(principal, is_platform_admin=is_one))
    return admins

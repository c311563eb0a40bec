"""Quotas: what teams may have, held where they get it."""

from collections.abc import Collection
from uuid import UUID

from api.clock import Clock
from api.db import quotas, teams
from api.db.database import Database, Transaction
from api.db.events import insert_team_event
from api.domain.principal import Principal, Scope, require, require_platform_admin
from api.domain.quota import UNLIMITED, Limits, Quota, Resource, check_limits, exceeded
from api.errors import NotFound
from api.ids import Kind, wire_id
from api.services.audit import note


class Quotas:
    """The limits of teams. `defaults` hold where an admin set none for a team."""

    def __init__(self, database: Database, clock: Clock, defaults: Limits = UNLIMITED) -> None:
        self._database = database
        self._clock = clock
        self._defaults = defaults

    async def hold(self, transaction: Transaction, team_id: UUID, resources: Collection[Resource]) -> None:
        """Returns if the team is within its limits of these resources with what this transaction has made; call it
        after that. Two at once see each other: the second waits here until the first is committed.

        Raises:
            NoCapacity: `QUOTA_EXCEEDED`, and by how much; the transaction must not be committed.
        """
        limits = (await quotas.limits(transaction, team_id)).over(self._defaults)
        if all(limits.of(resource) is None for resource in resources):
            return
        # a lock, then a statement of its own: the sums are of a snapshot that is newer than what was waited for
        await teams.lock(transaction, team_id)
        quota = (await quotas.of_teams(transaction, [team_id])).get(team_id)
        refusal = None if quota is None else exceeded(Quota(limits, quota.used), resources)
        if refusal is not None:
            raise refusal

    async def own(self, principal: Principal) -> Quota:
        """What the caller's team may have and has. Raises: MissingScope, Unavailable."""
        require(principal, Scope.READ)
        found = await quotas.of_teams(self._database, [principal.team_id])
        return self._whole(found.get(principal.team_id, Quota(UNLIMITED, {})))

    async def of_teams(self, principal: Principal, team_ids: Collection[UUID]) -> dict[UUID, Quota]:
        """What these teams may have and have, in one query. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        found = await quotas.of_teams(self._database, team_ids)
        return {team_id: self._whole(quota) for team_id, quota in found.items()}

    async def set_limits(self, principal: Principal, team_id: UUID, limits: Limits) -> Quota:
        """Sets all limits of a team anew: None is the default. What the team has stays, even beyond them.

        Raises:
            Forbidden: the caller is no platform admin. Invalid: a limit. NotFound: no such team.
        """
        require_platform_admin(principal)
        check_limits(limits)
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            if not await quotas.set_limits(transaction, team_id, limits, now):
                raise NotFound("There is no such team.", path=("teamId",))
            await insert_team_event(transaction, team_id, "team.limits", principal.actor, now)
            await note(transaction, now, wire_id(Kind.TEAM, team_id))
        return (await self.of_teams(principal, [team_id]))[team_id]

    def _whole(self, quota: Quota) -> Quota:
        return Quota(quota.limits.over(self._defaults), quota.used)

"""Quotas: what teams may have, held where they get it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID
from weakref import WeakValueDictionary

from api.clock import Clock
from api.db import quotas, teams
from api.db.database import Database, Transaction
from api.db.events import insert_team_event
from api.domain.principal import Principal, Scope, require, require_platform_admin
from api.domain.quota import UNLIMITED, Amounts, Limits, Quota, check_limits, exceeded
from api.errors import NoCapacity, NotFound
from api.ids import Kind, wire_id
from api.services.audit import note
from api.services.rights import lock_platform_admins

TURNS_PER_TEAM = 4
"""Transactions of one team that place something at once, of the 16 connections of a replica: they wait for each other
anyway."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One command's turn. Without limits it does nothing."""

    team_id: UUID
    limits: Limits
    wanted: Amounts

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit of anything that is wanted."""
        return any(self.limits.of(resource) is not None for resource in self.wanted)

    async def check(self, transaction: Transaction) -> None:
        """Returns if the team is within its limits with what this transaction has made; call it after that. Two at once
        see each other: the second waits here until the first is committed.

        Raises:
            NoCapacity: `QUOTA_EXCEEDED`, and by how much; the transaction must not be committed.
        """
        if not self.is_limited:
            return
        # a lock, then a statement of its own: the sums are of a snapshot that is newer than what was waited for
        await teams.lock(transaction, self.team_id)
        found = (await quotas.of_teams(transaction, [self.team_id])).get(self.team_id)
        refusal = None if found is None else exceeded(replace(found, limits=self.limits), self.wanted, includes_it=True)
        if refusal is not None:
            raise refusal


class Quotas:
    """The limits of teams. `defaults` hold where an admin set none for a team."""

    def __init__(self, database: Database, clock: Clock, defaults: Limits = UNLIMITED) -> None:
        self._database = database
        self._clock = clock
        self._defaults = defaults
        self._turns: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, team_id: UUID, wanted: Amounts) -> AsyncIterator[Hold]:
        """Around the transaction of a command that takes something, `wanted` at the least. `Hold.check` decides; a
        team that has too much already is refused before a connection is taken for it, so that its commands keep nobody
        else waiting.

        Raises:
            NoCapacity: `QUOTA_EXCEEDED`. Unavailable: the database does not answer.
        """
        limits = (await quotas.limits(self._database, team_id)).over(self._defaults) if wanted else UNLIMITED
        hold = Hold(team_id, limits, wanted)
        if not hold.is_limited:
            yield hold
            return
        turns = self._turns.setdefault(team_id, asyncio.Semaphore(TURNS_PER_TEAM))
        async with turns:
            refusal = await self.refusal(team_id, wanted)
            if refusal is not None:
                raise refusal
            yield hold

    async def refusal(self, team_id: UUID, wanted: Amounts) -> NoCapacity | None:
        """The error that a team would get if it wanted this now; None if it may have it. Raises: Unavailable."""
        return exceeded(await self.of_team(team_id), wanted)

    async def restated(self, refused: NoCapacity, team_id: UUID, wanted: Amounts) -> NoCapacity:
        """A refusal by `hold`, which may be of the least that a command could want, for all that it wanted. Raises:
        Unavailable."""
        return await self.refusal(team_id, wanted) or refused

    async def own(self, principal: Principal) -> Quota:
        """What the caller's team may have and has. Raises: MissingScope, Unavailable."""
        require(principal, Scope.READ)
        return await self.of_team(principal.team_id)

    async def of_team(self, team_id: UUID) -> Quota:
        """The same of any team; for whoever decided who may see it. Raises: Unavailable."""
        found = await quotas.of_teams(self._database, [team_id])
        return self._whole(found.get(team_id, Quota(UNLIMITED, {})))

    async def of_teams(self, principal: Principal, team_ids: Collection[UUID]) -> dict[UUID, Quota]:
        """What these teams may have and have, in one query. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        found = await quotas.of_teams(self._database, team_ids)
        return {team_id: self._whole(quota) for team_id, quota in found.items()}

    async def set_limits(self, principal: Principal, team_id: UUID, changes: Mapping[str, int | None]) -> Quota:
        """Changes limits of a team, by their names in `Limits`: None is the default, and others stay as they were. What
        the team has stays, even beyond them.

        Raises:
            Forbidden: the caller is no platform admin. Invalid: a limit. NotFound: no such team.
        """
        require_platform_admin(principal)
        check_limits(Limits(**changes))
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            if await teams.lock(transaction, team_id) is None:
                raise NotFound("There is no such team.", path=("teamId",))
            await lock_platform_admins(transaction, principal, now)
            limits = replace(await quotas.limits(transaction, team_id), **changes)
            await quotas.set_limits(transaction, team_id, limits, now)
            await insert_team_event(transaction, team_id, "team.limits", principal.actor, now)
            await note(transaction, now, wire_id(Kind.TEAM, team_id))
        return await self.of_team(team_id)

    def _whole(self, quota: Quota) -> Quota:
        return replace(quota, limits=quota.own.over(self._defaults))

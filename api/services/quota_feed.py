"""Live views of what teams have and may have."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from uuid import UUID

from api.clock import Clock
from api.db.events import Cursor
from api.domain.feed import Heartbeat, QuotaChanged
from api.domain.principal import Principal, Scope, require
from api.domain.quota import Quota
from api.errors import Unavailable
from api.services.quotas import Quotas
from api.services.streams import HEARTBEAT_SECONDS, happens

READ_SECONDS = 0.25
"""Between two looks of one stream, however much happens in its team."""


class _Watched:
    """A team that somebody watches: who is to look, and what was last seen. One look serves all."""

    def __init__(self) -> None:
        self.watchers: set[asyncio.Event] = set()
        self.seen: Quota | None = None
        self.changes = 0
        self.looking = asyncio.Lock()

    def changed(self) -> None:
        """What was seen is no longer so."""
        self.seen = None
        self.changes += 1
        for news in self.watchers:
            news.set()


class QuotaFeed:
    """The reader of the event log says whose lines it read; teams of these that are watched are looked at anew."""

    def __init__(self, quotas: Quotas, clock: Clock, reader_cursor: Callable[[], Cursor]) -> None:
        self._quotas = quotas
        self._clock = clock
        self._cursor = reader_cursor
        self._watched: dict[UUID, _Watched] = {}

    def changed(self, team_ids: Collection[UUID]) -> None:
        """Lines were read about these teams."""
        for team_id in team_ids:
            if team_id in self._watched:
                self._watched[team_id].changed()

    async def watch(self, principal: Principal) -> AsyncGenerator[QuotaChanged | Heartbeat, None]:
        """The quota of the caller's team as it is, then every change of it, of many in a short time the last.

        Raises:
            MissingScope: the caller may not read. Unavailable.
        """
        require(principal, Scope.READ)
        team_id, news = principal.team_id, asyncio.Event()
        watched = self._watched.setdefault(team_id, _Watched())
        watched.watchers.add(news)
        try:
            told = await self._look(watched, team_id)
            yield QuotaChanged(told, str(self._cursor()))
            told_at = self._clock.monotonic()
            while True:
                await happens(news, HEARTBEAT_SECONDS - (self._clock.monotonic() - told_at))
                now = self._clock.monotonic()
                quota = told
                if news.is_set():
                    news.clear()
                    try:
                        quota = await self._look(watched, team_id)
                    except Unavailable:
                        news.set()
                if quota != told:
                    told, told_at = quota, now
                    yield QuotaChanged(told, str(self._cursor()))
                elif now - told_at >= HEARTBEAT_SECONDS:
                    told_at = now
                    yield Heartbeat(str(self._cursor()), self._clock.now())
                await asyncio.sleep(READ_SECONDS)
        finally:
            watched.watchers.discard(news)
            if not watched.watchers and self._watched.get(team_id) is watched:
                del self._watched[team_id]

    async def _look(self, watched: _Watched, team_id: UUID) -> Quota:
        async with watched.looking:
            if watched.seen is not None:
                return watched.seen
            changes = watched.changes
            quota = await self._quotas.of_team(team_id)
            if watched.changes == changes:
                watched.seen = quota
            return quota

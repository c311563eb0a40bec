"""Live views of what teams have and may have."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from uuid import UUID

from api.clock import Clock
from api.db.events import Cursor
from api.domain.feed import Heartbeat, QuotaChanged
from api.domain.principal import Principal
from api.domain.quota import Quota
from api.errors import Unavailable
from api.services.auth import RECHECK_SECONDS, Auth
from api.services.quotas import Quotas

HEARTBEAT_SECONDS = 15.0
READ_SECONDS = 0.25
"""Between two looks of one stream, however much happens in its team."""


class QuotaFeed:
    """The reader of the event log says whose lines it read; whoever watches one of these teams then looks anew."""

    def __init__(self, quotas: Quotas, auth: Auth, clock: Clock, reader_cursor: Callable[[], Cursor]) -> None:
        self._quotas = quotas
        self._auth = auth
        self._clock = clock
        self._cursor = reader_cursor
        self._watchers: dict[UUID, set[asyncio.Event]] = {}

    def changed(self, team_ids: Collection[UUID]) -> None:
        """Lines were read about these teams."""
        for team_id in team_ids:
            for news in self._watchers.get(team_id, ()):
                news.set()

    async def watch(self, principal: Principal) -> AsyncGenerator[QuotaChanged | Heartbeat, None]:
        """The quota of the caller's team as it is, then every change of it, of many in a short time the last.

        Raises:
            MissingScope: the caller may not read. Unauthenticated: it was shut out, within 5 seconds.
        """
        news = asyncio.Event()
        self._watchers.setdefault(principal.team_id, set()).add(news)
        try:
            told = await self._quotas.own(principal)
            yield QuotaChanged(told, str(self._cursor()))
            checked_at = told_at = self._clock.monotonic()
            while True:
                await _happens(news, RECHECK_SECONDS)
                now = self._clock.monotonic()
                if now - checked_at >= RECHECK_SECONDS:
                    await self._recheck(principal)
                    checked_at = now
                quota = told
                if news.is_set():
                    news.clear()
                    quota = await self._look(principal) or told
                if quota != told:
                    told = quota
                    yield QuotaChanged(told, str(self._cursor()))
                elif now - told_at >= HEARTBEAT_SECONDS:
                    yield Heartbeat(str(self._cursor()), self._clock.now())
                else:
                    continue
                told_at = now
                await asyncio.sleep(READ_SECONDS)
        finally:
            watchers = self._watchers[principal.team_id]
            watchers.discard(news)
            if not watchers:
                del self._watchers[principal.team_id]

    async def _look(self, principal: Principal) -> Quota | None:
        try:
            return await self._quotas.own(principal)
        except Unavailable:
            # the next line of the log brings it
            return None

    async def _recheck(self, principal: Principal) -> None:
        try:
            await self._auth.recheck(principal)
        except Unavailable:
            # nothing can be told while the database is away, so nothing is given away
            return


async def _happens(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return

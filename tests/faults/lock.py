"""Creates held up in the middle of their transaction, by a lock on the row of the team that they are for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import asyncpg

from tests.waiting import eventually

_WAITING = """SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'nestbox-api' AND wait_event_type = 'Lock'"""
_CHECKED_LAST = """SELECT format('ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE INITIALLY DEFERRED', conrelid::regclass,
    conname) FROM pg_constraint WHERE contype = 'f' AND confrelid = 'teams'::regclass"""


@dataclass
class Lock:
    """While it is held no sandbox is made: the check that its team is there, which is made part of the commit, waits.

    So what waits has been asked to commit, and does so whether or not its client lives on. A lock on a table would hold
    up the preparing of a statement, before it is even run.
    """

    _holder: asyncpg.Connection
    _looker: asyncpg.Connection

    @classmethod
    @asynccontextmanager
    async def held(cls, owner_url: str) -> AsyncIterator[Self]:
        holder, looker = await asyncpg.connect(owner_url), await asyncpg.connect(owner_url)
        try:
            for (change,) in await holder.fetch(_CHECKED_LAST):
                await holder.execute(change)
            await holder.execute("BEGIN; SELECT FROM teams FOR UPDATE")
            yield cls(holder, looker)
        finally:
            await holder.close()
            await looker.close()

    async def holds_up(self, count: int) -> None:
        """Returns when so many statements wait for it."""

        async def wait() -> bool:
            return len(await self._looker.fetch(_WAITING)) >= count

        await eventually(wait)

    async def cut(self) -> None:
        """Ends the connections of all that wait for it, so that what they have begun is rolled back."""
        await self._looker.execute(f"SELECT pg_terminate_backend(pid) FROM ({_WAITING}) w")  # noqa: S608 - a constant

    async def release(self) -> None:
        """What waits goes on."""
        await self._holder.execute("ROLLBACK")

    async def sandboxes(self) -> int:
        """How many there are, as others see it."""
        return int(await self._looker.fetchval("SELECT count(*) FROM sandboxes"))

"""Advisory locks: which replica does what only one at a time should do.

They make work cheaper, not right: every write is guarded by itself, so two holders for a moment do no harm. PostgreSQL
lets go of them when the connection ends, however it ends.
"""

import asyncio
from contextlib import suppress
from uuid import UUID

import asyncpg

from api.db.database import Database
from api.db.errors import translated

FOLLOW_HOST = 0x6E62_0002
"""First half of the keys of hosts ("nb"); the second half is of the host's id."""
PLACEMENT = 0x6E62_0003
"""Held by a transaction while it finds a host that no other team uses. Unlike the others, this one is needed."""


class Locks:
    """The locks of one replica, all held by one connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self._held: set[UUID] = set()
        self._turn = asyncio.Lock()

    async def try_hold(self, host_id: UUID) -> bool:
        """Whether this replica has the lock of a host now. May be repeated: it is then held still, or lost and tried
        again. Raises: Unavailable."""
        key = int.from_bytes(host_id.bytes[-4:], signed=True)
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._held.clear()
                self._connection = await self._database.connect()
            with translated():
                if host_id in self._held:
                    # proves that the connection, and with it the lock, is still there
                    await self._connection.execute("SELECT 1")
                    return True
                if await self._connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", FOLLOW_HOST, key):
                    self._held.add(host_id)
                    return True
                return False

    async def release(self, host_id: UUID) -> None:
        """Lets another replica have it."""
        key = int.from_bytes(host_id.bytes[-4:], signed=True)
        async with self._turn:
            if self._connection is None or self._connection.is_closed() or host_id not in self._held:
                return
            self._held.discard(host_id)
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._connection.execute("SELECT pg_advisory_unlock($1, $2)", FOLLOW_HOST, key)

    def close(self) -> None:
        """Lets go of all of them."""
        if self._connection is not None:
            self._connection.terminate()

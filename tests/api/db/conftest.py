"""A database with one host and a way to put sandboxes into any state."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest_asyncio

from api.db.database import Database
from api.domain.sandbox import State
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, new_id


@dataclass(frozen=True)
class Store:
    """The pool under test, as the API's role, and a connection to look and meddle with, as the owner."""

    database: Database
    raw: asyncpg.Connection
    host_id: UUID

    async def sandbox(self, state: State, *, generation: int = 2, sequence: int = 10, goal: str = "running") -> UUID:
        """A sandbox in a state."""
        sandbox_id = new_id()
        await self.raw.execute(
            """INSERT INTO sandboxes (id, team_id, template_id, host_id, vcpus, memory_mb, disk_size_mb, goal,
                generation, state, cause, sequence, created_at, updated_at, deleted_at)
            VALUES ($1, $2, $3, $4, 1, 512, 5120, $5, $6, $7, 'user', $8, now(), now(),
                CASE WHEN $7 = 'deleted' THEN now() END)""",
            sandbox_id,
            DEFAULT_TEAM_ID,
            BASE_TEMPLATE_ID,
            self.host_id,
            goal,
            generation,
            state,
            sequence,
        )
        return sandbox_id

    async def row(self, sandbox_id: UUID) -> asyncpg.Record:
        row = await self.raw.fetchrow("SELECT * FROM sandboxes WHERE id = $1", sandbox_id)
        assert row is not None
        return row

    async def events(self, sandbox_id: UUID) -> int:
        return int(await self.raw.fetchval("SELECT count(*) FROM events WHERE sandbox_id = $1", sandbox_id))


@pytest_asyncio.fixture
async def store(database_url: str, owner_url: str) -> AsyncIterator[Store]:
    database = Database(database_url)
    await database.open()
    raw = await asyncpg.connect(owner_url)
    host_id = new_id()
    await raw.execute(
        "INSERT INTO hosts (id, name, address, reachable, cpu_count, created_at) VALUES ($1, 'h', 'a', true, 1, now())",
        host_id,
    )
    try:
        yield Store(database, raw, host_id)
    finally:
        await raw.close()
        await database.close()

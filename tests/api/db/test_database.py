"""What happens when PostgreSQL is not as it should be."""

import asyncio
import time

import pytest

from api.db.database import Database
from api.domain.sandbox import State
from api.errors import Internal, Unavailable
from nestbox.postgres import Postgres
from tests.api.db.conftest import Store
from tests.waiting import eventually


async def test_a_database_that_is_away_is_unavailable_within_a_second() -> None:
    database = Database("postgresql://nobody:nothing@127.0.0.1:9/none")
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await database.open()
    assert time.monotonic() - started < 2
    with pytest.raises(Unavailable):
        await database.row("SELECT 1")


async def test_a_lost_connection_is_unavailable_and_then_replaced(store: Store) -> None:
    sleeping = asyncio.ensure_future(store.database.row("SELECT pg_sleep(60)"))

    async def asleep() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
        return bool(await store.raw.fetchval(query))

    await eventually(asleep)
    await store.raw.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    with pytest.raises(Unavailable) as lost:
        await sleeping
    assert lost.value.retryable
    await eventually(lambda: _answers(store))


async def _answers(store: Store) -> bool:
    try:
        return await store.database.row("SELECT 1") is not None
    except Unavailable:
        return False


async def test_a_bug_in_a_statement_is_internal_and_gives_nothing_away(store: Store) -> None:
    with pytest.raises(Internal) as error:
        await store.database.row("SELECT nothing FROM nowhere")
    assert "nowhere" not in error.value.message
    assert "nowhere" in error.value.detail
    with pytest.raises(Internal):
        await store.database.execute("UPDATE sandboxes SET vcpus = 0 WHERE id = $1", await store.sandbox(State.RUNNING))


async def test_an_old_driver_name_in_the_url_is_understood(postgres: Postgres) -> None:
    database = Database(postgres.url().replace("postgresql://", "postgresql+asyncpg://"))
    await database.open()
    assert await database.row("SELECT 1") is not None
    await database.close()

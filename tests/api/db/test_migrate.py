"""An empty database becomes exactly what `tables.py` says."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from api.db.cluster import read
from api.db.database import Database
from api.db.migrate import _engine, _upgrade, differences, migrate
from api.errors import Internal
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, PLATFORM_TEAM_ID
from nestbox.postgres import Postgres

_CATALOG = """
SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attidentity::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    AND c.relname <> 'alembic_version'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND conrelid::regclass::text <> 'alembic_version'
UNION ALL
SELECT 'index', tablename, indexname, indexdef, '', '' FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'alembic_version'
ORDER BY 1, 2, 3
"""


async def _catalog(url: str) -> Sequence[tuple[str, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(_CATALOG)]
    finally:
        await connection.close()


async def test_migrations_make_what_the_tables_say(postgres: Postgres, database_url: str) -> None:
    assert await differences(database_url) == []
    postgres.ensure_database("from_metadata")
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(postgres.owner_url("from_metadata"))
    )
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await engine.dispose()
    assert await _catalog(database_url) == await _catalog(postgres.url("from_metadata"))


async def test_two_replicas_can_migrate_one_empty_database_at_once(postgres: Postgres) -> None:
    postgres.ensure_database("raced")
    url, owner_url = postgres.url("raced"), postgres.owner_url("raced")
    await asyncio.gather(migrate(url, owner_url), migrate(url, owner_url))
    await migrate(url, owner_url)
    connection = await asyncpg.connect(url)
    try:
        teams = await connection.fetch("SELECT id FROM teams ORDER BY id")
        assert [row["id"] for row in teams] == [PLATFORM_TEAM_ID, DEFAULT_TEAM_ID]
        template = await connection.fetchrow("SELECT * FROM templates")
        assert template is not None
        assert (template["id"], template["team_id"]) == (BASE_TEMPLATE_ID, PLATFORM_TEAM_ID)
        assert (template["name"], template["type"], template["disk_size_mb"]) == ("base", "base", 5120)
    finally:
        await connection.close()


async def _cluster_id(url: str) -> UUID:
    database = Database(url)
    await database.open()
    try:
        return await read(database)
    finally:
        await database.close()


async def test_each_control_plane_has_an_id_of_its_own_also_one_that_was_there_before(postgres: Postgres) -> None:
    names = ("old", "new")
    for name in names:
        postgres.ensure_database(name)
    engine = _engine(postgres.owner_url("old"))
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade, "0001")
        await connection.commit()
    await engine.dispose()
    for name in names:
        await migrate(postgres.url(name), postgres.owner_url(name))
    assert await differences(postgres.url("old")) == []
    ids = [await _cluster_id(postgres.url(name)) for name in names]
    assert ids[0] != ids[1]
    await migrate(postgres.url("old"), postgres.owner_url("old"))
    assert await _cluster_id(postgres.url("old")) == ids[0]


async def test_there_is_one_id_at_most(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for statement in ("INSERT INTO cluster DEFAULT VALUES", "INSERT INTO cluster (one) VALUES (false)"):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await connection.execute(statement)
        await connection.execute("DELETE FROM cluster")
        with pytest.raises(Internal):
            await _cluster_id(database_url)
    finally:
        await connection.close()

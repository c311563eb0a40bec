"""Brings a database to the newest schema."""

import asyncio
from pathlib import Path

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import api.db.tables  # noqa: F401 - fills the metadata
from alembic import command
from api.db.database import asyncpg_url, require_supported
from api.db.errors import translated

MIGRATION_LOCK = 0x6E62_0001
"""Advisory lock key ("nb"): replicas that start at once migrate one after the other."""

_SCRIPTS = Path(__file__).parents[2] / "alembic"


async def migrate(database_url: str) -> None:
    """Applies every migration that is missing, and makes the rows that every installation has.

    May be called by several processes at once and repeated. Each migration is a transaction: after a failure the
    database is as the last complete one left it.

    Raises:
        Unavailable: the database does not answer, or is older than PostgreSQL 18.
    """
    engine = _engine(database_url)
    try:
        with translated():
            async with engine.connect() as connection:
                # held by the session, so that the commits of the migrations do not let go of it
                await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
                await connection.commit()
                await connection.run_sync(_upgrade)
                await connection.commit()
    finally:
        await engine.dispose()


async def differences(database_url: str) -> list[object]:
    """What `tables.py` has and the database has not, or the other way round, as Alembic sees it."""
    engine = _engine(database_url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_compare)
    finally:
        await engine.dispose()


def migrate_now(database_url: str) -> None:
    """`migrate` for callers without an event loop."""
    asyncio.run(migrate(database_url))


def _engine(database_url: str) -> AsyncEngine:
    async def connect() -> asyncpg.Connection:
        connection = await asyncpg.connect(asyncpg_url(database_url), timeout=5)
        require_supported(connection)
        return connection

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


def _upgrade(connection: Connection, revision: str = "head") -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _compare(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), SQLModel.metadata))

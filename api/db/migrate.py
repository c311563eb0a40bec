"""Brings a database to the newest schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import api.db.tables  # noqa: F401 - fills the metadata
from alembic import command
from api.db import privileges
from api.db.database import asyncpg_url, require_supported
from api.db.errors import translated
from api.errors import Invalid

MIGRATION_LOCK = 0x6E62_0001
"""Advisory lock key ("nb"): replicas that start at once migrate one after the other."""

_INSUFFICIENT_PRIVILEGE = "42501"
_SCRIPTS = Path(__file__).parents[2] / "alembic"


async def migrate(database_url: str, owner_url: str = "") -> None:
    """Applies every migration that is missing, and makes the rows that every installation has.

    `owner_url` is the same database as the role that owns the tables: it migrates then, and gives the role of
    `database_url` what serving takes (`privileges.py`). Without it the role of `database_url` does both.

    May be called by several processes at once and repeated. Each migration is a transaction, and giving is one: after
    a failure the database is as the last complete one left it.

    Raises:
        Unavailable: the database does not answer, or is older than PostgreSQL 18.
        Invalid: the role that migrates may not, or migrates what belongs to the one that serves.
    """
    engine = _engine(owner_url or database_url)
    try:
        with translated(), _understood():
            role = await _role_of(database_url) if owner_url else None
            async with engine.connect() as connection:
                # held by the session, so that the commits of the migrations do not let go of it
                await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
                await connection.commit()
                if role is not None:
                    await privileges.require_apart(connection, role)
                await connection.run_sync(_upgrade)
                await connection.commit()
                if role is not None:
                    await privileges.give(connection, role)
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


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != _INSUFFICIENT_PRIVILEGE:
            raise
        reason = "The role that migrates may not; DATABASE_OWNER_URL is for the URL of the one that owns the tables."
        raise Invalid(reason, detail=str(error.orig)) from error


async def _role_of(database_url: str) -> str:
    """Whom this URL makes us to the server, quoted as SQL has it: a URL need not name the role, so it is asked."""
    connection = await asyncpg.connect(asyncpg_url(database_url), timeout=5)
    try:
        return str(await connection.fetchval("SELECT quote_ident(current_user)"))
    finally:
        await connection.close()


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

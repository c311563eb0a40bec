"""The database for a command: the embedded one, which an older version may have made, or the user's own."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from api.db.migrate import _engine, _upgrade
from nestbox.database import NAME, postgres_folder
from nestbox.errors import Problem
from nestbox.platform.database import reached_database, running_database
from nestbox.platform.layout import Layout
from nestbox.postgres import Postgres
from nestbox.settings import read_settings

LINE = """INSERT INTO audit_log (id, at, actor, action, resource, result)
    VALUES (gen_random_uuid(), now(), 'system', 'kept', '', 'OK')"""


def layout_of(folder: Path, **environment: str) -> Layout:
    given = {"NESTBOX_DATA_DIR": str(folder), **environment}
    return Layout(read_settings(given, root=False, home=folder), environment)


async def first(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def old_database(server: Postgres) -> None:
    """As versions made it that served as the owner: with one role and one password."""
    await first(server.owner_url(), f"CREATE DATABASE {NAME}")
    engine = _engine(server.owner_url(NAME))
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade, "0050")
        await connection.commit()
    await engine.dispose()
    await first(server.owner_url(NAME), LINE)


async def test_an_old_data_directory_is_carried_over(reachable_folder: Path) -> None:
    layout = layout_of(reachable_folder)
    with Postgres.start(postgres_folder(reachable_folder), fsync=False) as server:
        await old_database(server)
        with pytest.raises(Problem, match="Stop Nestbox and start it again"):
            running_database(layout)
    assert not (postgres_folder(reachable_folder) / "api-password").exists()

    async with reached_database(layout) as url:
        assert await first(url, "SELECT current_user || ' ' || action FROM audit_log") == "nestbox_api kept"
        await first(url, LINE)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await first(url, "ALTER TABLE audit_log DISABLE TRIGGER ALL")
        assert running_database(layout) == url


async def test_a_database_of_the_users_own_is_migrated_by_its_owner(postgres: Postgres, reachable_folder: Path) -> None:
    postgres.ensure_database("of_a_user")
    url, owner_url = postgres.url("of_a_user"), postgres.owner_url("of_a_user")
    with pytest.raises(Problem, match="DATABASE_OWNER_URL"):
        async with reached_database(layout_of(reachable_folder, DATABASE_URL=url)):
            pass
    layout = layout_of(reachable_folder, DATABASE_URL=url, DATABASE_OWNER_URL=owner_url)
    async with reached_database(layout) as found:
        assert found == url
        assert await first(url, "SELECT count(*) FROM audit_log") == 0


def test_the_embedded_server_is_reached_as_the_role_of_the_api(with_database: Path) -> None:
    url = running_database(layout_of(with_database))
    assert url is not None
    assert asyncio.run(first(url, "SELECT current_user")) == "nestbox_api"

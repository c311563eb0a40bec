"""Whoever serves may do what serving takes, and nothing to what the audit log says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlmodel import SQLModel

from api.db import audit, privileges
from api.db.database import Database
from api.db.migrate import migrate
from api.domain.audit import AuditLine, Keeping
from api.errors import Internal, Invalid
from api.ids import DEFAULT_TEAM_ID, new_id
from nestbox.postgres import Postgres
from tests.api.db.conftest import Store
from tests.conftest import owned

REFUSED = [
    "UPDATE audit_log SET result = 'OK'",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_log_rows ON audit_log",
    "ALTER TABLE audit_log RENAME TO forgotten",
    "DROP TABLE audit_log",
    "CREATE RULE forget AS ON INSERT TO audit_log DO INSTEAD NOTHING",
    "CREATE TRIGGER forget BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_refuse()",
    """INSERT INTO audit_log SELECT * FROM audit_log ON CONFLICT (id) DO UPDATE SET result = 'OK'""",
    "SELECT FROM audit_log FOR UPDATE",
    "CREATE OR REPLACE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    "ALTER FUNCTION audit_log_prune(timestamptz, integer) RESET search_path",
    "SET session_replication_role = replica",
    "SET ROLE nestbox",
    "GRANT nestbox TO nestbox_api",
    "ALTER ROLE nestbox_api SUPERUSER",
    "CREATE ROLE another",
    "CREATE DATABASE another",
    "CREATE TABLE another ()",
    "CREATE FUNCTION another() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA another",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "COPY (SELECT 1) TO '/tmp/another'",
    "SELECT pg_read_file('postgresql.conf')",
    "UPDATE alembic_version SET version_num = '0001'",
    "ALTER SYSTEM SET fsync = off",
]


def _line(age: timedelta) -> AuditLine:
    return AuditLine(new_id(), datetime.now(UTC) - age, DEFAULT_TEAM_ID, "system", "test", "", "OK", "", "")


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _keeping(url: str) -> Keeping:
    database = Database(url)
    await database.open()
    try:
        return await privileges.keeping(database)
    finally:
        await database.close()


@pytest.mark.parametrize("statement", REFUSED)
async def test_who_serves_cannot_get_round_the_audit_log(store: Store, statement: str) -> None:
    await audit.insert(store.database, _line(timedelta(days=40)))
    with pytest.raises(Internal) as refused:
        await store.database.execute(statement)
    assert isinstance(refused.value.__cause__, asyncpg.InsufficientPrivilegeError)
    assert await store.raw.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_every_table_has_its_rights(database_url: str) -> None:
    query = """SELECT c.relname, array_agg(p ORDER BY p) FILTER (WHERE has_table_privilege(c.oid, p)) AS rights
        FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER',
            'MAINTAIN']) p
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' GROUP BY 1"""
    async with _connected(database_url) as connection:
        found = {row["relname"]: row["rights"] for row in await connection.fetch(query)}
    expected = {name: ["DELETE", "INSERT", "SELECT", "UPDATE"] for name in SQLModel.metadata.tables}
    assert found == expected | {"audit_log": ["INSERT", "SELECT"], "alembic_version": ["SELECT"]}


async def test_only_who_serves_may_have_old_lines_removed(owner_url: str) -> None:
    async with _connected(owner_url) as owner:
        found = await owner.fetchrow("""SELECT proacl::text AS rights, prosecdef AS as_owner, proconfig[1] AS path
            FROM pg_proc WHERE proname = 'audit_log_prune'""")
    assert found is not None
    assert found["rights"] == "{nestbox=X/nestbox,nestbox_api=X/nestbox}"
    assert (found["as_owner"], found["path"]) == (True, "search_path=pg_catalog, pg_temp")


async def test_what_serves_cannot_make_another_table_of_it(store: Store) -> None:
    """A temporary table of the same name comes first in a search path that does not say otherwise."""
    await audit.insert(store.database, _line(timedelta(days=40)))
    async with store.database.transaction() as transaction:
        await transaction.execute("CREATE TEMPORARY TABLE audit_log (LIKE public.audit_log) ON COMMIT DROP")
        row = await transaction.row("SELECT audit_log_prune(now(), 10) AS removed")
    assert row is not None
    assert row["removed"] == 1


async def test_migrating_again_gives_what_is_missing_and_takes_what_is_too_much(
    database_url: str, owner_url: str
) -> None:
    async with _connected(owner_url) as owner:
        await owner.execute("REVOKE ALL ON sandboxes FROM nestbox_api; GRANT ALL ON audit_log TO nestbox_api")
        assert (await _keeping(database_url)).weakness == "may change the audit log"
        await migrate(database_url, owner_url)
        assert await owner.fetchval("SELECT has_table_privilege('nestbox_api', 'sandboxes', 'UPDATE')")
    assert await _keeping(database_url) == Keeping("nestbox_api", "")


async def test_who_serves_migrates_only_when_there_is_nothing_to_do(
    postgres: Postgres, database_url: str, owner_url: str
) -> None:
    await migrate(database_url)
    async with _connected(owner_url) as owner:
        await owner.execute("UPDATE alembic_version SET version_num = '0050'")
    with pytest.raises(Invalid, match="DATABASE_OWNER_URL"):
        await migrate(database_url)
    postgres.ensure_database("empty")
    with pytest.raises(Invalid, match="DATABASE_OWNER_URL"):
        await migrate(postgres.url("empty"))


async def test_what_is_weak_is_named(postgres: Postgres, database_url: str, owner_url: str) -> None:
    assert await _keeping(owner_url) == Keeping("nestbox", "is a superuser")
    assert await _keeping(database_url) == Keeping("nestbox_api", "")
    async with _connected(owner_url) as owner:
        await owner.execute("GRANT CREATE ON SCHEMA public TO nestbox_api")
    assert (await _keeping(database_url)).weakness == "may make things in the schema of the tables"
    assert await _keeping(postgres.url()) == Keeping("nestbox_api", "")  # where no table is


@pytest.fixture
async def own_url(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of an empty database of the user's own, whose one role owns it and is no superuser."""
    async with _connected(postgres.owner_url()) as admin:
        await admin.execute("CREATE ROLE \"its Owner\" LOGIN PASSWORD 'secret'")
        await admin.execute('CREATE DATABASE own OWNER "its Owner"')
        try:
            yield f"postgresql://its%20Owner:secret@127.0.0.1:{postgres.port}/own"
        finally:
            await admin.execute("DROP DATABASE own WITH (FORCE)")
            await admin.execute('DROP ROLE "its Owner"')


async def test_nobody_migrates_for_a_role_that_owns_the_tables(postgres: Postgres, own_url: str) -> None:
    await migrate(own_url)
    with pytest.raises(Invalid, match="owns the tables"):
        await migrate(own_url, owned(postgres, own_url))
    async with _connected(own_url) as own:
        assert await own.fetchval("SELECT has_table_privilege('audit_log', 'DELETE')")


async def test_a_database_whose_one_role_does_both_gets_a_second_that_serves(postgres: Postgres, own_url: str) -> None:
    for urls in ((own_url,), (own_url, own_url)):
        await migrate(*urls)
        database = Database(own_url)
        await database.open()
        try:
            await audit.insert(database, _line(timedelta(days=40)))
            assert await audit.prune(database, datetime.now(UTC)) == 1
        finally:
            await database.close()
    assert await _keeping(own_url) == Keeping("its Owner", "owns the tables")

    url = postgres.url("own")
    await migrate(url, own_url)
    assert await _keeping(url) == Keeping("nestbox_api", "")
    async with _connected(owned(postgres, url)) as admin:
        await admin.execute('GRANT "its Owner" TO nestbox_api WITH INHERIT FALSE')
        assert (await _keeping(url)).weakness == "owns the tables"
        await admin.execute('REVOKE "its Owner" FROM nestbox_api')

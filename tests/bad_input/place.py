"""The platform that bad input is sent to: control plane and host are processes of their own, machines run no code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from api.clock import SystemClock
from api.db.database import Database
from api.ids import PLATFORM_TEAM_ID, Kind, new_id, wire_id
from api.services.api_keys import ApiKeys
from tests.api.client import Client
from tests.faults.processes import Agent, Api

UNKNOWN = "01234567-89ab-7cde-8f01-23456789abcd"
"""A UUID of nothing."""


@dataclass
class Place:
    """What there is to be asked for, and with which key. The sandboxes are as their names say and stay so."""

    api: Api
    agent: Agent
    database: asyncpg.Connection
    key: str = ""
    team_id: UUID = PLATFORM_TEAM_ID
    running: str = ""
    paused: str = ""
    deleted: str = ""
    foreign: str = ""
    foreign_template: str = ""
    half_deleted_template: str = ""
    half_made_template: str = ""

    @property
    def client(self) -> Client:
        """A new client with the key; to be closed."""
        return Client(self.api.url, self.key)

    async def rows(self) -> dict[str, str]:
        """What the database holds, by table: how many rows, and for what can be changed, in which version.

        Only lines that are meant to come of every request, good or bad, are left out: the audit log and when a key
        was last used.
        """
        names = await self.database.fetch(
            """SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
            AND relname NOT IN ('audit_log', 'alembic_version')"""
        )
        counts = " UNION ALL ".join(f"SELECT '{name}', count(*)::text FROM \"{name}\"" for (name,) in names)  # noqa: S608
        states = """SELECT 'states', string_agg(concat_ws(' ', id, state, goal, generation, version), ', ' ORDER BY id)
            FROM sandboxes"""
        return {row[0]: row[1] for row in await self.database.fetch(f"{counts} UNION ALL {states}")}


@asynccontextmanager
async def opened(folder: Path, database_url: str) -> AsyncIterator[Place]:
    """A platform on a migrated database that is empty; its programs are ended in the end."""
    connection = await asyncpg.connect(database_url)
    place = Place(Api(folder / "api"), Agent(folder / "agent"), connection)
    try:
        await place.agent.start()
        await place.api.start(database_url, (place.agent.address,))
        database = Database(database_url)
        await database.open()
        try:
            await _furnish(place, ApiKeys(database, SystemClock()))
        finally:
            await database.close()
        yield place
    finally:
        place.api.kill()
        place.agent.kill()
        await connection.close()


async def _furnish(place: Place, keys: ApiKeys) -> None:
    place.team_id, place.key = await _team(place.database, keys)
    _, other = await _team(place.database, keys)
    async with place.client as client:
        place.running = (await client.create())["id"]
        place.paused = (await client.create())["id"]
        await client.command("pauseSandbox", "__typename", id=place.paused)
        place.deleted = (await client.create())["id"]
        await client.command("deleteSandbox", "__typename", id=place.deleted)
    async with Client(place.api.url, other) as client:
        place.foreign = (await client.create())["id"]
        made = await client.command("createTemplate", "template { id }", sandboxId=place.foreign, name="theirs")
        place.foreign_template = made["template"]["id"]
    place.half_deleted_template = await _template(place.database, place, "deleting")
    place.half_made_template = await _template(place.database, place, "creating")


async def _team(connection: asyncpg.Connection, keys: ApiKeys) -> tuple[UUID, str]:
    team_id = new_id()
    await connection.execute("INSERT INTO teams (id, name, created_at) VALUES ($1, 'a team', now())", team_id)
    return team_id, await keys.make("bad input", team_id=team_id, is_platform_admin=False)


async def _template(connection: asyncpg.Connection, place: Place, state: str) -> str:
    """One that no host is asked about, so that it stays in this state."""
    template_id = new_id()
    await connection.execute(
        """INSERT INTO templates (id, team_id, name, type, state, disk_size_mb, vcpus, memory_mb, source_sandbox_id,
            created_at, deleted_at)
        VALUES ($1, $2, $3::text, 'snapshot', $3, 5120, 1, 512, $4, now(), CASE WHEN $3 = 'deleting' THEN now() END)""",
        template_id,
        place.team_id,
        state,
        place.running.removeprefix("sb-"),
    )
    return wire_id(Kind.TEMPLATE, template_id)

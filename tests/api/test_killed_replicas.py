"""A replica that fails at any point of a command, as a process of its own: the next one finishes what was accepted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from api.faults import POINTS
from api.owner import create_key
from api.settings import Settings
from tests.api.client import Client
from tests.faults.lock import Lock
from tests.faults.processes import Agent, Api, ending, fired
from tests.waiting import eventually

UNFINISHED = """SELECT (SELECT count(*) FROM operations WHERE state = 'running') + (SELECT count(*) FROM sandboxes
    WHERE state NOT IN ('running', 'paused', 'stopped', 'failed', 'deleted')) + (SELECT count(*) FROM templates
    WHERE state IN ('creating', 'deleting'))"""
ENDS = {
    "create": [("running", 1)],
    "pause": [("paused", 2)],
    "resume": [("running", 3)],
    "delete": [("deleted", 2)],
    "set_timeout": [("running", 2)],
    "create_template": [("running", 2)],
    # the parent, and children that were pending before they began
    "fork": [("running", 2)] * 3,
    "delete_template": [("running", 2)],
}
TEMPLATES = {"create_template": ["ready"], "delete_template": ["deleted"]}
"""What becomes of the template, by command."""
TRIED = [point for point in POINTS if point.split(".")[1] in ENDS]

ALWAYS_TRIED = {
    "api.create.committed",
    "api.pause.called",
    "api.create_template.called",
    "api.fork.committed",
    "api.fork.called",
    "api.delete_template.committed",
}


@dataclass
class Site:
    agent: Agent
    api: Api
    database_url: str
    owner_url: str
    key: str

    async def send(self, client: Client, command: str, sandbox_id: str) -> None:
        """A command whose answer may never come."""
        name, fields, given = f"{command}Sandbox", "sandbox { ...S }", dict[str, object](id=sandbox_id)
        match command:
            case "set_timeout":
                name, given = "setSandboxTimeout", given | {"timeoutSec": 600}
            case "create_template":
                name, given = "createTemplate", {"sandboxId": sandbox_id, "name": "mine"}
            case "fork":
                fields, given = "operation { id }", given | {"count": 2}
            case "delete_template":
                made = await client.command("createTemplate", "template { id }", sandboxId=sandbox_id, name="mine")
                name, fields, given = "deleteTemplate", "operation { id }", {"id": made["template"]["id"]}
        with suppress(httpx.TransportError):
            await client.command(name, fields, **given)


@pytest_asyncio.fixture
async def site(database_url: str, owner_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    agent, api = Agent(tmp_path / "agent"), Api(tmp_path / "api")
    settings = Settings(DATABASE_URL=SecretStr(database_url))
    with ending(agent, api):
        await agent.start()
        yield Site(agent, api, database_url, owner_url, await create_key(settings, "test", admin=True))


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "point",
    [point if point in ALWAYS_TRIED else pytest.param(point, marks=pytest.mark.long) for point in TRIED],
)
async def test_what_a_killed_replica_had_accepted_is_finished(site: Site, point: str) -> None:
    command = point.split(".")[1]
    await site.api.start(site.database_url, (site.agent.address,), {point: "kill"})
    async with Client(site.api.url, site.key) as client:
        sandbox_id = ""
        if command == "create":
            with suppress(httpx.TransportError):
                await client.create()
        else:
            sandbox_id = (await client.create())["id"]
            if command == "resume":
                await client.command("pauseSandbox", "sandbox { ...S }", id=sandbox_id)
            await site.send(client, command, sandbox_id)
    await eventually(lambda: not site.api.runs)
    assert fired(site.api.log, point)
    await site.api.start(site.database_url, (site.agent.address,))
    database = await asyncpg.connect(site.database_url)
    try:
        async with asyncio.timeout(40):
            await eventually(lambda: _is_zero(database, UNFINISHED), 40)
        rows = await database.fetch("SELECT state, generation, timeout_sec FROM sandboxes")
        assert [(row["state"], row["generation"]) for row in rows] == ENDS[command]
        made = await database.fetch("SELECT state FROM templates WHERE type = 'snapshot'")
        assert [row["state"] for row in made] == TEMPLATES.get(command, [])
        assert await database.fetchval("SELECT count(*) FROM operations WHERE state <> 'succeeded'") == 0
    finally:
        await database.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("committed", [False, True])
async def test_a_replica_that_is_killed_around_its_commit_leaves_all_or_nothing(site: Site, committed: bool) -> None:
    """Nothing, if its connection ends before PostgreSQL could commit; else what the next one finishes."""

    async def create(client: Client) -> None:
        with suppress(httpx.TransportError):
            await client.create(idempotencyKey="once")

    await site.api.start(site.database_url, (site.agent.address,))
    async with Client(site.api.url, site.key) as client, Lock.held(site.owner_url) as lock:
        async with asyncio.TaskGroup() as group:
            group.create_task(create(client))
            await lock.holds_up(1)
            await asyncio.to_thread(site.api.kill)
        if not committed:
            await lock.cut()
        await lock.release()
        await eventually(lambda: _count_is(lock, int(committed)))
        await site.api.start(site.database_url, (site.agent.address,))
        sandbox = await client.create(idempotencyKey="once")
        assert await lock.sandboxes() == 1
        database = await asyncpg.connect(site.database_url)
        await eventually(lambda: _is_zero(database, UNFINISHED), 40)
        assert await database.fetchval("SELECT state FROM sandboxes") == "running"
        await database.close()
        assert sandbox["id"]


async def _count_is(lock: Lock, count: int) -> bool:
    return await lock.sandboxes() == count


async def _is_zero(database: asyncpg.Connection, query: str) -> bool:
    return bool(await database.fetchval(query) == 0)


@pytest.mark.timeout(120)
async def test_a_replica_that_is_told_to_stop_under_load_ends_in_time(site: Site) -> None:
    await site.api.start(site.database_url, (site.agent.address,))
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    async def load(client: Client) -> None:
        with suppress(httpx.TransportError, AssertionError):
            while not stopping.is_set():
                sandbox = await client.create()
                await client.command("pauseSandbox", "sandbox { ...S }", id=sandbox["id"])
                await client.command("deleteSandbox", "sandbox { ...S }", id=sandbox["id"])

    async with Client(site.api.url, site.key) as client, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(load(client))
        database = await asyncpg.connect(site.database_url)
        await eventually(lambda: _has_begun(database))
        begun = loop.time()
        await asyncio.to_thread(site.api.stop)
        took = loop.time() - begun
        stopping.set()
        await database.close()
    assert took <= 15
    await site.api.start(site.database_url, (site.agent.address,))
    database = await asyncpg.connect(site.database_url)
    await eventually(lambda: _is_zero(database, UNFINISHED), 40)
    await database.close()


async def _has_begun(database: asyncpg.Connection) -> bool:
    return bool(await database.fetchval("SELECT count(*) FROM sandboxes WHERE state = 'deleted'") > 3)

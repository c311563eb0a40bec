"""PostgreSQL restarts, or its connections are cut, while commands are under way: what was acknowledged is there."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from api.db.migrate import migrate
from nestbox.postgres import Postgres
from tests.faults.site import Site, agent_running
from tests.waiting import eventually

COUNT = 12


@pytest.fixture
def folder() -> Iterator[Path]:
    # not pytest's: that is closed to the account that PostgreSQL runs as
    directory = Path(tempfile.mkdtemp(prefix="nestbox-faults-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


async def _everything_once(site: Site) -> None:
    """Repeats each create until it is answered, then pauses some and deletes some."""

    async def answered(number: int) -> bool:
        return await site.create(f"key {number}") is not None

    for number in range(COUNT):
        await eventually(lambda number=number: answered(number))


async def test_connections_cut_in_the_middle_lose_nothing(database_url: str, tmp_path: Path) -> None:
    async with agent_running(tmp_path / "agent", latency_ms=5) as agent, Site.opened(database_url, agent) as site:
        connection = await asyncpg.connect(database_url)

        async def cut() -> int:
            ended = 0
            while ended < 10 * COUNT:
                ended += await connection.fetchval(
                    """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'nestbox-api'"""
                )
                await asyncio.sleep(0.03)  # not a wait: it is the fault's rhythm
            return ended

        async with asyncio.TaskGroup() as group:
            group.create_task(cut())
            creating = [group.create_task(site.create(f"key {number}")) for number in range(COUNT)]
        await connection.close()
        assert len(creating) == COUNT
        await _everything_once(site)
        assert await site.settled() == []
        assert len(site.promises.created) == COUNT


async def test_a_restart_of_the_server_loses_nothing(folder: Path) -> None:
    server = Postgres.start(folder / "postgres", fsync=False)
    try:
        await migrate(server.url())
        async with agent_running(folder / "agent", latency_ms=40) as agent, Site.opened(server.url(), agent) as site:
            async with asyncio.TaskGroup() as group:
                for number in range(COUNT):
                    group.create_task(site.create(f"key {number}"))
                await eventually((agent.data_dir / "simulated").is_dir)
                await asyncio.to_thread(server.stop)
            server = await asyncio.to_thread(Postgres.start, folder / "postgres", port=server.port, fsync=False)
            await _everything_once(site)
            assert await site.settled() == []
            assert len(site.promises.created) == COUNT
    finally:
        server.stop()

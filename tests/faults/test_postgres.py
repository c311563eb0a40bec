"""PostgreSQL restarts, is away, has no connection left or loses them in a commit: what was acknowledged is there."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from api.db.database import CONNECTIONS_MAX
from api.db.migrate import migrate
from api.domain.sandbox import CreateSandbox, State
from api.errors import Unavailable
from nestbox.postgres import Postgres
from tests.faults.lock import Lock
from tests.faults.proxy import Proxy
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


@pytest.mark.parametrize("committed", [False, True])
async def test_a_commit_whose_answer_never_comes_is_there_or_not_and_a_retry_makes_no_second(
    database_url: str, owner_url: str, tmp_path: Path, committed: bool
) -> None:
    port = int(database_url.rpartition("/")[0].rpartition(":")[2])
    async with Proxy.before(port) as proxy, agent_running(tmp_path / "agent") as agent:
        url = database_url.replace(f":{port}/", f":{proxy.port}/")
        async with Site.opened(url, agent) as site, Lock.held(owner_url) as lock:
            creating = asyncio.ensure_future(_refused(site, "cut"))
            await lock.holds_up(1)
            if committed:
                proxy.swallow(requests=False, answers=True)
                await lock.release()
                await eventually(lambda: _are(lock, 1))
                proxy.reset()
                proxy.swallow(requests=False, answers=False)
            else:
                await lock.cut()
                await lock.release()
            await creating
            # what was accepted, and nobody knows to carry out
            await site.make_due()
            await eventually(lambda: _is_created(site, "cut"))
            assert await lock.sandboxes() == 1
            assert await site.settled() == []


async def test_without_a_free_connection_the_answer_is_soon_and_typed(
    database_url: str, owner_url: str, tmp_path: Path
) -> None:
    async with agent_running(tmp_path / "agent") as agent, Site.opened(database_url, agent) as site:
        async with Lock.held(owner_url) as lock, asyncio.TaskGroup() as group:
            writing = [group.create_task(site.create(f"key {number}")) for number in range(CONNECTIONS_MAX)]
            await lock.holds_up(CONNECTIONS_MAX)
            async with asyncio.timeout(2):
                await _refused(site, "one too many")
            await lock.release()
        assert None not in [task.result() for task in writing]
        await eventually(lambda: _is_created(site, "one too many"))
        assert await site.settled() == []


async def _refused(site: Site, key: str) -> None:
    """A create that is answered with a typed error, after which a client may try again."""
    with pytest.raises(Unavailable) as refused:
        await site.running.services.sandboxes.create(site.running.principal, CreateSandbox(idempotency_key=key))
    assert refused.value.retryable


async def _is_created(site: Site, key: str) -> bool:
    sandbox = await site.create(key)
    return sandbox is not None and sandbox.state is State.RUNNING


async def _are(lock: Lock, count: int) -> bool:
    return await lock.sandboxes() == count


async def test_a_restart_of_the_server_loses_nothing(folder: Path) -> None:
    server = Postgres.start(folder / "postgres", fsync=False)
    try:
        server.ensure_database("kept")
        await migrate(server.url("kept"), server.owner_url("kept"))
        async with (
            agent_running(folder / "agent", latency_ms=40) as agent,
            Site.opened(server.url("kept"), agent) as site,
        ):
            async with asyncio.TaskGroup() as group:
                for number in range(COUNT):
                    group.create_task(site.create(f"key {number}"))
                await eventually((agent.data_dir / "simulated").is_dir)
                await asyncio.to_thread(server.stop)
            # and it is away for long
            site.running.clock.offset += timedelta(minutes=5)
            server = await asyncio.to_thread(Postgres.start, folder / "postgres", port=server.port, fsync=False)
            await _everything_once(site)
            assert await site.settled() == []
            assert len(site.promises.created) == COUNT
    finally:
        server.stop()

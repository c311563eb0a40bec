"""The database goes away, and comes back."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from api.db.migrate import migrate
from api.domain.feed import Changed, Reset
from api.domain.sandbox import CreateSandbox, Sandbox, SandboxFilter, State
from api.errors import Unavailable
from nestbox.postgres import Postgres
from tests.agent.serving import Served
from tests.api.running import Running, services_running
from tests.waiting import eventually


@pytest.fixture
def folder() -> Iterator[Path]:
    # not pytest's: that is closed to the account that PostgreSQL runs as
    directory = Path(tempfile.mkdtemp(prefix="nestbox-restart-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


async def test_a_restarted_database_is_used_again(host: tuple[Served, str], folder: Path) -> None:
    server = Postgres.start(folder, fsync=False)
    try:
        server.ensure_database("kept")
        await migrate(server.url("kept"), server.owner_url("kept"))
        async with services_running(server.url("kept"), host[1]) as running:
            sandbox = await running.created()
            events = running.services.feed.sandboxes(running.principal, SandboxFilter())
            assert isinstance(await anext(events), Reset)

            server.stop()
            started = time.monotonic()
            with pytest.raises(Unavailable) as away:
                await running.services.sandboxes.create(running.principal, CreateSandbox())
            assert time.monotonic() - started < 2
            assert away.value.retryable
            assert not any(check.ok for check in await running.services.health.ready())

            server = Postgres.start(folder, fsync=False, port=server.port)
            await eventually(lambda: _pauses(running, sandbox))
            heard = await anext(events)
            while not (isinstance(heard, Changed) and heard.sandbox.state is State.PAUSED):
                heard = await anext(events)
            await events.aclose()
    finally:
        server.stop()


async def _pauses(running: Running, sandbox: Sandbox) -> bool:
    with suppress(Unavailable):
        outcome = await running.services.sandboxes.pause(running.principal, sandbox.id, idempotency_key="once")
        return outcome.sandbox.state is State.PAUSED
    return False

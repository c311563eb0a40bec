"""The platform as clients meet it: a real server, real services on PostgreSQL, a real agent that runs no code.

It is started once per run; tests stay apart by having each a team of their own.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest
import pytest_asyncio
import uvicorn
from argon2.profiles import CHEAPEST
from pydantic import SecretStr

from api.__main__ import listen, server_config
from api.app import build_app
from api.clock import SystemClock
from api.db.database import Database
from api.db.migrate import migrate
from api.ids import new_id
from api.services import passwords
from api.services.api_keys import ApiKeys
from api.settings import Settings
from nestbox.postgres import Postgres
from tests.api.client import Client

START_SECONDS_MAX = 30.0
PASSWORD_PARAMETERS = passwords.PARAMETERS
"""As the product has them, for the test of them."""
DASHBOARD_ORIGIN = "https://dashboard.example"


@dataclass(frozen=True)
class Agent:
    address: str
    token_file: Path


@dataclass(frozen=True)
class Platform:
    """A running server. `pid` is this process: the server runs in a thread of it."""

    port: int
    database_url: str
    owner_url: str
    dashboard_dir: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


async def revoke(platform: Platform, key_id: str) -> None:
    """Ends a key behind the server's back, as another process would."""
    connection = await asyncpg.connect(platform.database_url)
    try:
        await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", key_id.removeprefix("key-"))
    finally:
        await connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        threading.Event().wait(0.02)


def _connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Hashes that cost nothing: a good one takes 0.2 s of processor time, and tests make hundreds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "PARAMETERS", CHEAPEST)
        yield


@pytest.fixture(scope="session")
def simulated_agent(memory: Path) -> Iterator[Agent]:
    """`python -m agent` with the simulated driver."""
    directory = Path(tempfile.mkdtemp(prefix="agent-", dir=memory))
    port = free_port()
    agent = Agent(f"127.0.0.1:{port}", directory / "token")
    environment = os.environ | {
        "NESTBOX_AGENT_ADDRESS": agent.address,
        "NESTBOX_AGENT_DATA_DIR": str(directory / "data"),
        "NESTBOX_AGENT_TOKEN_FILE": str(agent.token_file),
        "NESTBOX_AGENT_DRIVER": "simulated",
        "NESTBOX_CACHE_DIR": str(directory / "cache"),
    }
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "agent"], env=environment, stderr=log, stdout=log)
        try:
            wait_until(lambda: process.poll() is not None or _connects(port), "The agent's start")
            assert process.poll() is None, (directory / "log").read_text()
            yield agent
        finally:
            process.terminate()
            process.wait(START_SECONDS_MAX)


@pytest.fixture(scope="session")
def platform(
    postgres: Postgres, simulated_agent: Agent, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    postgres.ensure_database("platform")
    database_url, owner_url = postgres.url("platform"), postgres.owner_url("platform")
    asyncio.run(migrate(database_url, owner_url))
    dashboard_dir = tmp_path_factory.mktemp("dashboard")
    port = free_port()
    settings = Settings(
        api_port=port,
        DATABASE_URL=SecretStr(database_url),
        hosts=(simulated_agent.address,),
        agent_token_file=simulated_agent.token_file,
        dashboard_dir=dashboard_dir,
        allowed_origins=(DASHBOARD_ORIGIN,),
    )
    with serving(settings):
        yield Platform(port, database_url, owner_url, dashboard_dir)


@contextlib.contextmanager
def serving(settings: Settings, *, until_status: int = 200) -> Iterator[uvicorn.Server]:
    """The server in a thread, once `/readyz` answers with this status, and ended afterwards."""
    server = uvicorn.Server(server_config(build_app(settings), settings))
    with listen(settings.api_host, settings.api_port) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="server")
        thread.start()
        try:
            wait_until(lambda: not thread.is_alive() or _readiness(settings.api_port) == until_status, "Readiness")
            assert thread.is_alive(), "the server could not start"
            yield server
        finally:
            server.should_exit = True
            thread.join(START_SECONDS_MAX)


def _readiness(port: int) -> int:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).status_code
    return 0


NewKey = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture
async def new_key(platform: Platform) -> AsyncIterator[NewKey]:
    """Makes keys; without `team_id` each has a team of its own."""
    database = Database(platform.database_url)
    await database.open()
    api_keys = ApiKeys(database, SystemClock())

    async def make(*, is_platform_admin: bool = False) -> str:
        team_id = new_id()
        connection = await asyncpg.connect(platform.database_url)
        try:
            await connection.execute(
                "INSERT INTO teams (id, name, created_at) VALUES ($1, $2, now())", team_id, f"team {team_id}"
            )
        finally:
            await connection.close()
        return await api_keys.make("key of a test", team_id=team_id, is_platform_admin=is_platform_admin)

    try:
        yield make
    finally:
        await database.close()


@pytest_asyncio.fixture
async def client(platform: Platform, new_key: NewKey) -> AsyncIterator[Client]:
    """A client of a team of its own."""
    async with Client(platform.url, await new_key()) as found:
        yield found


@pytest_asyncio.fixture
async def other_client(platform: Platform, new_key: NewKey) -> AsyncIterator[Client]:
    """A client of another team."""
    async with Client(platform.url, await new_key()) as found:
        yield found


@pytest_asyncio.fixture
async def admin_client(platform: Platform, new_key: NewKey) -> AsyncIterator[Client]:
    """A client with the key of a platform admin."""
    async with Client(platform.url, await new_key(is_platform_admin=True)) as found:
        yield found

"""What every test can have: a PostgreSQL server per run, a fresh, migrated database per test, and a memory image.

Databases are reached as the API's role, as the API does, so that a right that it lacks is missed here; `owner_url` is
for what only the owner of the tables may do.
"""

import asyncio
import itertools
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from api.db.migrate import migrate
from nestbox.postgres import Postgres
from nestbox.settings import read_settings
from tests import in_memory, memory_images

_TEMPLATE = "nestbox_template"
_IN_MEMORY = ("agent/test_", "api/", "faults/", "invariants/")
"""Where the tests are of the control plane, and of agents with simulated machines."""

# Hundreds of programs are started: they shall not compile the same modules again each. The Makefile says the same.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `long` runs only when it is asked for."""
    if "long" not in config.getoption("markexpr"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder in memory, for this run."""
    with in_memory.folder() as folder:
        yield folder


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty folder of this test: in memory, unless machines or what they are made of could lie in it."""
    place = request.path.relative_to(Path(__file__).parent).as_posix()
    if not place.startswith(_IN_MEMORY):
        yield request.getfixturevalue("tmp_path_on_disk")
        return
    memory: Path = request.getfixturevalue("memory")
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tmp_path_on_disk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Among those that pytest keeps for some runs."""
    return tmp_path_factory.mktemp(re.sub(r"\W", "_", request.node.name)[:30])


@pytest.fixture(scope="session")
def postgres(memory: Path) -> Iterator[Postgres]:
    """The server of this run. Empty but for the template database, which is migrated once."""
    with Postgres.temporary(memory) as server:
        server.ensure_database(_TEMPLATE)
        asyncio.run(migrate(server.url(_TEMPLATE), server.owner_url(_TEMPLATE)))
        yield server


_numbers = itertools.count(1)


@pytest_asyncio.fixture
async def database_url(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of a migrated database that is this test's own."""
    async with migrated_database(postgres) as url:
        yield url


@pytest.fixture
def owner_url(postgres: Postgres, database_url: str) -> str:
    """The URL of this test's database as the owner of its tables, who is a superuser."""
    return owned(postgres, database_url)


def owned(postgres: Postgres, url: str) -> str:
    """The URL of a database of this server as the owner of its tables."""
    return postgres.owner_url(url.rpartition("/")[2])


@asynccontextmanager
async def migrated_database(postgres: Postgres) -> AsyncIterator[str]:
    """For tests that want more than one: the URL of a new database, which is removed afterwards."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(postgres.owner_url())
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        yield postgres.url(name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """The installation's cache, with the base image: a test run must not build it a second time."""
    return read_settings(os.environ, root=os.geteuid() == 0, home=Path.home()).cache_dir


@pytest.fixture(scope="session", name="memory_images")
def made_memory_images(cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the memory image of the usual shape, for `memory_images.take`. It was booted in this run."""
    folder = tmp_path_factory.getbasetemp() / memory_images.FOLDER
    memory_images.make(folder, cache_dir)
    return folder

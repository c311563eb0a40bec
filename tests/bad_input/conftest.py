"""One platform for all cells: what one of them broke, the others would notice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from api.db.migrate import migrate
from nestbox.postgres import Postgres
from tests.bad_input.place import Place, opened
from tests.bad_input.senders import Senders, sending


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def place(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """The platform."""
    postgres.ensure_database("bad_input")
    database_url = postgres.url("bad_input")
    await asyncio.to_thread(asyncio.run, migrate(database_url, postgres.owner_url("bad_input")))
    folder: Path = tmp_path_factory.mktemp("bad_input")
    async with opened(folder, database_url) as found:
        yield found


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def senders(place: Place) -> AsyncIterator[Senders]:
    """Ways to send."""
    async with sending(place) as found:
        yield found

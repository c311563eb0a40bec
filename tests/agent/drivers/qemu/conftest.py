"""Real machines, on data of this run."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.drivers.qemu import QemuDriver
from nestbox.settings import read_settings
from tests.agent.drivers.qemu.laboratory import Laboratory


@pytest.fixture(scope="session")
def laboratory() -> Iterator[Laboratory]:
    """The data directory of this run; the base image comes from the installation's cache."""
    settings = read_settings(os.environ, root=os.geteuid() == 0, home=Path.home())
    made = Laboratory(settings.cache_dir)
    yield made
    made.remove()


@pytest_asyncio.fixture
async def driver(laboratory: Laboratory) -> AsyncIterator[QemuDriver]:
    """An open driver. Sandboxes that a test leaves are removed."""
    async with laboratory.driver() as opened:
        yield opened

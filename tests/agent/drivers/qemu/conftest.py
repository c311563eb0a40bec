"""Real machines, on data of this run."""

from collections.abc import AsyncIterator

import pytest_asyncio

from agent.drivers.qemu import QemuDriver
from tests.agent.drivers.qemu.laboratory import Laboratory


@pytest_asyncio.fixture
async def driver(laboratory: Laboratory) -> AsyncIterator[QemuDriver]:
    """An open driver. Sandboxes that a test leaves are removed."""
    async with laboratory.driver() as opened:
        yield opened

"""One agent with simulated machines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.agent.serving import Served
from tests.api.running import host_running


@pytest_asyncio.fixture
async def host(tmp_path: Path) -> AsyncIterator[tuple[Served, str]]:
    """An agent, and its address."""
    async with host_running(tmp_path / "agent") as found:
        yield found

"""A control plane with one simulated host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from api.reconciler import unplaced
from tests.agent.serving import Served
from tests.api.running import Running, host_running, services_running


@pytest_asyncio.fixture
async def host(tmp_path: Path) -> AsyncIterator[tuple[Served, str]]:
    """An agent, and its address."""
    async with host_running(tmp_path / "agent") as found:
        yield found


@pytest_asyncio.fixture
async def running(database_url: str, host: tuple[Served, str]) -> AsyncIterator[Running]:
    """One replica that looks after that agent."""
    async with services_running(database_url, host[1]) as found:
        yield found


@pytest_asyncio.fixture
async def served(host: tuple[Served, str]) -> Served:
    """The agent, to make it fail."""
    return host[0]


@pytest_asyncio.fixture
async def lonely_reconciled(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """One replica without any host, whose reconciler runs often."""
    monkeypatch.setattr(unplaced, "PASS_SECONDS", 0.1)
    async with services_running(database_url) as found:
        yield found

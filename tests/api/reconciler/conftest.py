"""A control plane with one simulated host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from api.reconciler import unplaced
from tests.agent.serving import Served
from tests.api.running import Running, host_running, services_running
from tests.waiting import eventually


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


async def passes(running: Running, more: int) -> None:
    """So many more passes over the inventory of the only host, from their beginning to their end."""

    def runs() -> int:
        return running.status()[0].runs

    # one may have begun before what the test did last
    before = runs() + 1
    while runs() < before + more:
        host_id = next(iter(running.services.resources.hosts.host_ids))
        running.services.commands._in_doubt(host_id)
        seen = runs()
        await eventually(lambda seen=seen: runs() > seen)

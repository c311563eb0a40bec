"""A guest program that runs, and a link to it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.link.link import GuestLink
from tests.agent.running_guest import RunningGuest


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[RunningGuest]:
    running = RunningGuest(tmp_path)
    yield running
    running.stop()


@pytest_asyncio.fixture
async def link(guest: RunningGuest) -> AsyncIterator[GuestLink]:
    opened = await guest.link()
    yield opened
    await opened.close()

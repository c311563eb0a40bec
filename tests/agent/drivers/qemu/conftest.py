"""Real machines, on data of this run, and files without machines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.drivers.qemu import QemuDriver
from tests.agent.drivers.qemu.kept_files import KeptFiles
from tests.agent.drivers.qemu.laboratory import Laboratory


@pytest_asyncio.fixture
async def driver(laboratory: Laboratory) -> AsyncIterator[QemuDriver]:
    """An open driver. Sandboxes that a test leaves are removed."""
    async with laboratory.driver() as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> KeptFiles:
    """A data directory of this test alone."""
    return KeptFiles(tmp_path)

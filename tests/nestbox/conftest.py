"""What tests of the command line share."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.db.migrate import migrate
from nestbox.database import NAME, start_embedded


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """An empty folder that every account can pass through; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="nestbox-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def with_database(reachable_folder: Path) -> Iterator[Path]:
    """A data directory whose database runs, as that of a platform does: commands need not start and migrate it each."""
    with start_embedded(reachable_folder) as server:
        asyncio.run(migrate(server.url(NAME), server.owner_url(NAME)))
        yield reachable_folder

"""What tests of the command line share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """An empty folder that every account can pass through; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="nestbox-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)

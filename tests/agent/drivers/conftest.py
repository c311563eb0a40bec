"""What tests of real machines share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nestbox.settings import read_settings
from tests.agent.drivers.qemu.laboratory import Laboratory


@pytest.fixture(scope="session")
def laboratory() -> Iterator[Laboratory]:
    """The data directory of this run, so that the memory image is made once; the base image comes from the
    installation's cache."""
    settings = read_settings(os.environ, root=os.geteuid() == 0, home=Path.home())
    made = Laboratory(settings.cache_dir)
    yield made
    made.remove()

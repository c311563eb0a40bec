"""Which driver an agent has, and what it is told."""

from pathlib import Path

import pytest

from agent.drivers.choice import make_driver
from agent.drivers.qemu import DiskRate, QemuDriver
from agent.settings import Settings


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({}, DiskRate()),
        ({"disk_mb_per_second": 7, "disk_operations_per_second": 0}, DiskRate(7 << 20, 0)),
    ],
)
def test_what_is_set_about_disks_reaches_the_driver(tmp_path: Path, changes: dict[str, int], rate: DiskRate) -> None:
    driver = make_driver(Settings(data_dir=tmp_path, **changes), lambda _: None)  # type: ignore[arg-type]
    assert isinstance(driver, QemuDriver)
    assert driver._settings.disk_rate == rate

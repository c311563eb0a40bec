"""Machines that are paused and resumed again and again."""

import pytest

from agent.drivers.qemu import QemuDriver
from tests.agent.drivers.qemu.laboratory import NO_STAGES, new_spec, resume, shell, start

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

FILES = "head -c 3000000 /dev/urandom > /root/disk; head -c 3000000 /dev/urandom > /dev/shm/memory"
SUMS = "sha256sum /root/disk /dev/shm/memory"


@pytest.mark.parametrize("cycles", [5, pytest.param(50, marks=pytest.mark.long)])
async def test_memory_and_files_are_equal_after_every_pause(driver: QemuDriver, cycles: int) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, FILES)
    for cycle in range(cycles):
        # Some of both changes each time, what was written last is proved each time.
        change = f"echo {cycle} >> /root/disk; echo {cycle} >> /dev/shm/memory"
        before = await shell(machine, f"{change}; {SUMS}")
        await driver.pause(spec, machine, NO_STAGES)
        machine = await resume(driver, spec)
        assert await shell(machine, SUMS) == before
    await driver.kill(machine)

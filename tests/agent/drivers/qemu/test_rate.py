"""How fast machines may use their disks: read from QEMUs that run, and tried by guests that want more."""

import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from agent.drivers.driver import LiveMachine
from agent.drivers.qemu import DiskRate, QemuDriver
from agent.drivers.qemu.arguments import GUEST_DISK
from agent.drivers.qemu.rate import BURST_SECONDS
from tests.agent.drivers.qemu.laboratory import (
    NO_STAGES,
    Laboratory,
    new_spec,
    qemu_machine,
    resume,
    shell,
    start,
)

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]
RATE = DiskRate(20 << 20, 500)
SLOW = DiskRate(1 << 20, 60)
MIB = 1 << 20


@asynccontextmanager
async def limited(laboratory: Laboratory, rate: DiskRate) -> AsyncIterator[QemuDriver]:
    driver = laboratory.second(disk_rate=rate)
    await driver.open()
    try:
        await driver.prepare("base", 1, 512)
        yield driver
        for sandbox_id in await driver.leftovers():
            await driver.remove(sandbox_id)
    finally:
        await driver.close()


async def rate_of(machine: LiveMachine) -> DiskRate:
    """What QEMU says that it is, with its burst."""
    [device] = await qemu_machine(machine).running.monitor.run("query-block")
    assert device["qdev"] == GUEST_DISK
    told = device["inserted"]
    rate = DiskRate(told["bps"], told["iops"])
    assert [told[f"{name}_{way}"] for name in ("bps", "iops") for way in ("rd", "wr")] == [0] * 4
    assert told.get("bps_max", 0) == rate.bytes_per_second * BURST_SECONDS
    assert told.get("iops_max", 0) == rate.operations_per_second * BURST_SECONDS
    return rate


async def used(machine: LiveMachine) -> tuple[int, int]:
    """Bytes and operations of the guest's, read and written, as QEMU counts them."""
    [device] = await qemu_machine(machine).running.monitor.run("query-blockstats")
    stats = device["stats"]
    return stats["rd_bytes"] + stats["wr_bytes"], stats["rd_operations"] + stats["wr_operations"]


async def test_the_limit_is_that_of_every_machine_for_all_of_its_life(laboratory: Laboratory) -> None:
    spec, larger = new_spec(), dataclasses.replace(new_spec(), disk_size_mb=6144)
    async with limited(laboratory, RATE) as driver:
        machine = await start(driver, spec)
        assert await rate_of(machine) == RATE
        # a snapshot puts an overlay below it
        snapshot_id = uuid4()
        await driver.snapshot(spec, machine, snapshot_id, NO_STAGES)
        assert await rate_of(machine) == RATE
        child = dataclasses.replace(spec, sandbox_id=uuid4(), snapshot_id=snapshot_id)
        assert await rate_of(await start(driver, child)) == RATE
        await driver.remove(child.sandbox_id)
        await driver.pause(spec, machine, NO_STAGES)
        machine = await resume(driver, spec)
        assert await rate_of(machine) == RATE
        await driver.kill(machine)
        assert await rate_of(await driver.boot(spec, uuid4(), NO_STAGES)) == RATE
        await driver.remove(spec.sandbox_id)
        assert await rate_of(await start(driver, larger)) == RATE


async def test_a_new_agent_gives_its_limit_to_machines_of_an_earlier_one(laboratory: Laboratory) -> None:
    spec = new_spec()
    # as one from before there was any
    unlimited = laboratory.second(disk_rate=DiskRate(0, 0))
    await unlimited.open()
    await unlimited.prepare("base", 1, 512)
    machine = await start(unlimited, spec)
    assert await rate_of(machine) == DiskRate(0, 0)
    assert any("as fast as it goes" in sentence for sentence in (await unlimited.facts()).shortcomings)
    await unlimited.close()
    for rate in (RATE, SLOW):
        other = laboratory.second(disk_rate=rate)
        await other.open()
        adopted = await other.adopt(spec, machine.incarnation, machine.process)
        assert adopted is not None
        assert await rate_of(adopted) == rate
        assert not any("as fast as it goes" in sentence for sentence in (await other.facts()).shortcomings)
        if rate is SLOW:
            await other.remove(spec.sandbox_id)
        await other.close()


# past all that the file system of a new guest has; each request goes to the disk
ENDLESS = "dd if=/dev/zero of=/dev/vda bs={} seek={} count={} oflag=direct 2>/dev/null"


@pytest.mark.parametrize(
    ("block", "seek", "count"), [("1M", 4000, 16), ("4k", 1_000_000, 800)], ids=["bytes", "operations"]
)
async def test_a_guest_that_writes_without_rest_is_held_to_its_rate(
    laboratory: Laboratory, block: str, seek: int, count: int
) -> None:
    """Beyond what may come at once. However slow this computer is, that is only reason for less."""
    async with limited(laboratory, SLOW) as driver:
        machine = await start(driver, new_spec())
        before, since = await used(machine), time.monotonic()
        await shell(machine, ENDLESS.format(block, seek, count))
        after, seconds = await used(machine), time.monotonic() - since + BURST_SECONDS
    written, operations = after[0] - before[0], after[1] - before[1]
    assert written >= {"1M": count * MIB, "4k": count * 4096}[block]
    assert written <= SLOW.bytes_per_second * seconds + MIB
    assert operations <= SLOW.operations_per_second * seconds + 1

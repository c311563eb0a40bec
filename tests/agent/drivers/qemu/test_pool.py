"""Clones that wait for sandboxes: quick to hand over, nobody's before, and never in anybody's way."""

import asyncio
import contextlib
import dataclasses
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from agent.computer import memory_available_mb
from agent.drivers.driver import Command, LiveMachine
from agent.drivers.qemu import QemuDriver
from agent.drivers.qemu.cgroups import WEIGHTS
from agent.drivers.qemu.demand import READY_MIN
from agent.drivers.qemu.disks import overlay_bytes_max
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.pool import CLONE_MB, ROOM_MB
from agent.drivers.qemu.records import is_running
from agent.errors import AgentError
from agent.link.link import GuestLink
from tests.agent.drivers.qemu.laboratory import (
    NO_STAGES,
    Laboratory,
    new_spec,
    qemu_machine,
    resume,
    run,
    shell,
    start,
)
from tests.agent.drivers.qemu.test_rate import rate_of
from tests.agent.running_guest import pass_time
from tests.waiting import eventually

FILLED_SECONDS = 120.0  # on a computer with ten times as much to do as it can
pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]


@asynccontextmanager
async def pooled(laboratory: Laboratory, pool_max: int = 3, **settings: float) -> AsyncIterator[QemuDriver]:
    """A driver whose pool is being filled."""
    driver = laboratory.second(pool_max=pool_max, **settings)
    await driver.open()
    try:
        async with asyncio.TaskGroup() as group:
            await driver.prepare("base", 1, 512)
            tending = group.create_task(driver.tend())
            try:
                yield driver
            finally:
                tending.cancel()
                for sandbox_id in await driver.leftovers():
                    await driver.remove(sandbox_id)
    finally:
        await driver.close()


def ready(driver: QemuDriver) -> int:
    return sum(pool.ready for pool in driver._pool.facts())


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


async def filled(driver: QemuDriver, count: int = READY_MIN) -> None:
    await eventually(lambda: ready(driver) >= count, FILLED_SECONDS)


async def waiting(driver: QemuDriver) -> list[QemuMachine]:
    """The clones of a pool that is full."""
    await filled(driver)
    return [machine for one in driver._pool._images.values() for machine in one.waiting]


async def test_what_is_handed_over_is_the_sandboxs_own(laboratory: Laboratory) -> None:
    async with pooled(laboratory) as driver:
        await filled(driver)
        specs = [new_spec(COLOUR=colour) for colour in ("green", "blue")]
        machines = [await start(driver, spec) for spec in specs]
        assert [pool.handed_over for pool in driver._pool.facts()] == [2]
        seen = set()
        for spec, machine in zip(specs, machines, strict=True):
            assert await shell(machine, "echo $COLOUR") == spec.environment["COLOUR"]
            assert await shell(machine, "echo $NESTBOX_SANDBOX_ID") == f"sb-{spec.sandbox_id}"
            seen.add(await run(machine, "cat", "/etc/machine-id", "/proc/sys/kernel/hostname"))
            seen.add(
                await run(machine, "python3", "-c", "import secrets, uuid; print(secrets.token_hex(), uuid.uuid4())")
            )
            seen.add(await shell(machine, "head -c 16 /dev/urandom | sha256sum"))
            assert abs(float(await run(machine, "date", "+%s.%N")) - time.time()) < 1
        assert len(seen) == 6
        # it is a sandbox like any other
        await shell(machines[0], "echo kept > /root/file; echo kept > /dev/shm/file")
        await driver.pause(specs[0], machines[0], NO_STAGES)
        again = await resume(driver, specs[0])
        assert await run(again, "cat", "/root/file", "/dev/shm/file") == "kept\nkept"


async def test_a_handed_over_machine_is_adopted(laboratory: Laboratory) -> None:
    async with pooled(laboratory) as driver:
        await filled(driver)
        spec = new_spec()
        machine = await start(driver, spec)
        await shell(machine, "echo kept > /dev/shm/file")
        process, incarnation = machine.process, machine.incarnation
        assert driver._pool.facts()[0].handed_over == 1
        assert await rate_of(machine) == laboratory.settings.disk_rate
        other = laboratory.second()
        await driver._pool.close()
        await driver.close()
        await other.open()
        try:
            adopted = qemu_machine(await other.adopt(spec, incarnation, process) or machine)
            assert adopted is not machine
            assert adopted.running.group is not None
            assert await run(adopted, "cat", "/dev/shm/file") == "kept"
            await other.remove(spec.sandbox_id)
            assert not laboratory.folder(spec).exists()
        finally:
            await other.close()


async def test_an_empty_pool_is_no_obstacle_and_a_larger_disk_no_exception(laboratory: Laboratory) -> None:
    async with pooled(laboratory) as driver:
        await filled(driver)
        specs = [dataclasses.replace(new_spec(), disk_size_mb=6144) for _ in range(4)]
        machines = await asyncio.gather(*(start(driver, spec) for spec in specs))
        for machine in machines:
            limits = Path(f"/proc/{machine.process.pid}/limits").read_text().split("Max file size")[1].split()
            assert limits[:2] == [str(overlay_bytes_max(6144))] * 2
            assert int(await shell(machine, "df -BM --output=size / | tail -n 1 | tr -dc 0-9")) > 5700
        if not driver._ready.raises_limits:
            # clones in the pool may not write as much
            machines = await asyncio.gather(*(start(driver, new_spec()) for _ in range(4)))
        facts = driver._pool.facts()[0]
        assert (facts.handed_over, facts.missed) == (READY_MIN, 2)
        # what was asked for is what is kept from now on, as far as the setting goes
        await filled(driver, 3)


async def test_clones_of_an_earlier_agent_are_ended(laboratory: Laboratory) -> None:
    async with pooled(laboratory) as driver:
        await filled(driver)
        folders = list((laboratory.data_dir / "pool").iterdir())
        assert all(is_running(folder) for folder in folders)
        machines = [machine for ready in driver._pool._images.values() for machine in ready.waiting]
        # killed: nothing was ended in order
        driver._pool._images.clear()
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__name__", "") == "tend":
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        other = laboratory.second()
        await other.open()
        await other.close()
        assert not any(folder.exists() for folder in folders)
        for machine in machines:
            assert not machine.running.process.running
            await machine.end()


async def test_a_clone_that_died_is_not_handed_over(laboratory: Laboratory) -> None:
    async with pooled(laboratory) as driver:
        for dead in await waiting(driver):
            dead.running.process.kill()
            await dead.running.process.ended()
        machine = await driver.start(new_spec(), uuid4(), NO_STAGES)
        assert await run(machine, "echo", "here") == "here"


async def test_a_clone_that_does_not_answer_is_replaced_by_an_ordinary_one(laboratory: Laboratory) -> None:
    async with pooled(laboratory, guest_timeout_seconds=5.0) as driver:
        for machine in await waiting(driver):
            machine.release()
            await machine.running.monitor.run("cont")
            await machine.exec(Command(("pkill", "-STOP", "-f", "guest/start.py")))
            link = await machine.link(1)

            async def hangs(link: GuestLink = link) -> bool:
                with contextlib.suppress(AgentError):
                    await link.ping(0.5)
                    return False
                return True

            await eventually(hangs)
            await machine.running.monitor.run("stop")
        stages: list[str] = []
        started = await driver.start(new_spec(), uuid4(), stages.append)
        assert stages == ["image", "disk", "spawn", "restore", "guest"]
        assert await run(started, "echo", "here") == "here"


@pytest.mark.parametrize("moment", ["cont", "restore"])
async def test_a_start_that_is_given_up_leaves_nothing_of_its_clone(laboratory: Laboratory, moment: str) -> None:
    async with pooled(laboratory) as driver:
        clones, spec = await waiting(driver), new_spec()
        starting: asyncio.Future[LiveMachine]

        async def cancelling(name: str, /, **arguments: object) -> object:
            if name == moment:
                starting.cancel()
            return await real(name, **arguments)

        def mark(name: str) -> None:
            if name == moment:
                starting.cancel()

        real = clones[0].running.monitor.run
        clones[0].running.monitor.run = cancelling  # type: ignore[method-assign] # as if given up at that moment
        starting = asyncio.ensure_future(driver.start(spec, uuid4(), mark))
        await asyncio.wait([starting])
        assert starting.cancelled()
        assert not clones[0].running.process.running
        assert not clones[0].folder.exists()
        assert spec.sandbox_id not in await driver.leftovers()
        assert clones[1].running.process.running


async def test_clones_that_wait_use_no_processor_and_weigh_little_until_they_are_wanted(
    laboratory: Laboratory,
) -> None:
    async with pooled(laboratory) as driver:
        clones = await waiting(driver)
        before = [cpu_ticks(clone.process.pid) for clone in clones]
        await pass_time(0.5)
        assert [cpu_ticks(clone.process.pid) for clone in clones] == before
        if (group := clones[0].running.group) is None:
            return  # this host has no control groups

        def weights() -> list[int]:
            paths = [folder / file for folder in group.folders for file in WEIGHTS]
            return [int(path.read_text()) for path in paths if path.exists()]

        assert weights() in ([102], [10])
        await start(driver, new_spec())
        assert weights() in ([1024], [100])


async def test_memory_that_a_machine_needs_is_taken_from_the_pool(laboratory: Laboratory) -> None:
    async with pooled(laboratory) as driver:
        clones = await waiting(driver)
        assert driver.reclaimable_mb() == READY_MIN * CLONE_MB
        driver._pool._available_mb = lambda: 128 + ROOM_MB - 1
        await driver._pool.make_room(128)
        assert [clone.running.process.running for clone in clones].count(True) == READY_MIN - 1
        await eventually(lambda: not any(clone.folder.exists() for clone in clones))
        assert not any(clone.running.process.running for clone in clones)
        assert driver._pool.facts()[0].wanted == 0
        driver._pool._available_mb = memory_available_mb
        await filled(driver)


async def test_an_image_can_go_while_a_clone_of_it_is_made(laboratory: Laboratory) -> None:
    async with pooled(laboratory) as driver:
        await eventually(lambda: driver._pool._making != "", FILLED_SECONDS, poll_seconds=0)
        making = laboratory.data_dir / "pool" / driver._pool._making
        [image] = driver._pool.images()
        await driver._pool.remove(image)
        assert not making.exists()
        assert driver._pool._making != making.name


async def test_what_the_pool_does_not_know_of_is_garbage(laboratory: Laboratory) -> None:
    async with pooled(laboratory) as driver:
        await waiting(driver)
        spec = new_spec()
        await start(driver, spec)
        assert await driver.garbage(frozenset(), frozenset()) == (), "what runs is nobody's garbage"
        strays = [laboratory.data_dir / name for name in ("pool/stray", "machines/stray", "memory-images/stray")]
        for stray in strays:
            stray.mkdir()
            (stray / "file").write_bytes(bytes(100_000))
        found = await driver.garbage(frozenset({spec.sandbox_id}), frozenset())
        assert {one.path for one in found} >= {"pool/stray", "machines/stray"}
        for stray in strays[:2]:
            shutil.rmtree(stray)
        [found_image] = await driver.garbage(frozenset({spec.sandbox_id}), frozenset())
        assert found_image.path == "memory-images/stray"
        assert found_image.stored_bytes >= 100_000
        assert found_image.reason
        shutil.rmtree(strays[2])


async def test_without_a_pool_there_is_none(laboratory: Laboratory) -> None:
    async with pooled(laboratory, pool_max=0) as driver:
        await start(driver, new_spec())
        assert driver._pool.facts() == ()
        assert not list((laboratory.data_dir / "pool").iterdir())

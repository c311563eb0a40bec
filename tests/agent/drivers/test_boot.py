"""What every driver promises of a machine that boots from a kept disk, on each of them."""

from uuid import uuid4

import pytest

from agent.drivers.driver import LiveMachine
from agent.errors import Code
from agent.machine import Spec
from tests.agent.drivers.bench import Bench, no_stages, raises, read, run, write
from tests.agent.drivers.qemu.laboratory import new_spec

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


async def rebooted(bench: Bench, spec: Spec, machine: LiveMachine) -> LiveMachine:
    """Ended in a moment, then booted."""
    await bench.driver.kill(machine)
    return await bench.driver.boot(spec, uuid4(), no_stages)


async def test_its_files_are_there_and_it_is_who_it_was(bench: Bench) -> None:
    async with bench.sandbox(COLOUR="green") as (spec, first):
        await write(first, "/root/file", b"on the disk")
        if bench.name == "qemu":
            await run(first, "sh", "-c", "echo gone > /dev/shm/file; sync")
        who = (await run(first, "cat", "/etc/machine-id")).stdout
        before = first.incarnation
        stages: list[str] = []
        await bench.driver.kill(first)
        machine = await bench.driver.boot(spec, uuid4(), stages.append)
        assert machine.incarnation != before
        assert stages == ["image", "spawn", "guest"]
        assert await read(machine, "/root/file") == b"on the disk"
        assert b"COLOUR=green" in (await run(machine, "env")).stdout
        if bench.name == "qemu":
            with raises(Code.NO_SUCH_FILE):
                await read(machine, "/dev/shm/file")
        assert (await run(machine, "cat", "/etc/machine-id")).stdout == who


async def test_it_is_paused_resumed_and_adopted_like_all_others(bench: Bench) -> None:
    async with bench.sandbox() as (spec, first):
        machine = await rebooted(bench, spec, first)
        folder = "/dev/shm" if bench.name == "qemu" else "/root"
        for turn in range(2):
            await write(machine, f"{folder}/memory", b"kept %d" % turn * 100_000)
            await bench.driver.pause(spec, machine, no_stages)
            assert await bench.driver.is_paused(spec.sandbox_id)
            if turn:
                await bench.restart()
            machine = await bench.driver.resume(spec, uuid4(), no_stages)
            assert await read(machine, f"{folder}/memory") == b"kept %d" % turn * 100_000
        process = machine.process
        await bench.restart()
        adopted = await bench.driver.adopt(spec, machine.incarnation, process) if process else None
        if bench.name == "qemu":
            assert adopted is not None
            await bench.driver.pause(spec, adopted, no_stages)
            machine = await bench.driver.resume(spec, uuid4(), no_stages)
            assert await read(machine, f"{folder}/memory") == b"kept 1" * 100_000


async def test_what_was_saved_before_counts_no_more(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine):
        await bench.driver.pause(spec, machine, no_stages)
        await bench.driver.boot(spec, uuid4(), no_stages)
        assert not await bench.driver.is_paused(spec.sandbox_id)


async def test_without_a_disk_there_is_nothing_to_boot(bench: Bench) -> None:
    spec = new_spec()
    with raises(Code.START_FAILED):
        await bench.driver.boot(spec, uuid4(), no_stages)
    assert spec.sandbox_id not in await bench.driver.leftovers()

"""A pause keeps everything, or changes nothing."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.drivers.qemu import QemuDriver
from agent.drivers.qemu.saved import MEMORY, STATE, pauses
from agent.errors import AgentError, Code
from tests.agent.drivers.qemu.laboratory import (
    NO_STAGES,
    Laboratory,
    flipped_bit,
    new_spec,
    resume,
    run,
    shell,
    start,
)
from tests.agent.running_guest import gone

pytestmark = pytest.mark.vm
COUNTER = """
import os, time
n = 0
while True:
    n += 1
    open('/tmp/new', 'w').write(f'{os.getpid()} {n}')
    os.rename('/tmp/new', '/tmp/count')
    time.sleep(0.02)
"""


async def test_memory_files_and_processes_are_kept(driver: QemuDriver) -> None:
    spec = new_spec(COLOUR="green")
    machine = await start(driver, spec)
    await shell(machine, "echo on the disk > /root/file; mkdir -p /dev/shm; echo in memory > /dev/shm/file")
    pid = await shell(machine, f'nohup python3 -c "{COUNTER}" >/dev/null 2>&1 & echo $!')
    await shell(machine, "while ! test -s /tmp/count; do sleep 0.05; done")
    for _ in range(2):
        before = (await run(machine, "cat", "/tmp/count")).split()
        process = machine.process
        await driver.pause(spec, machine, NO_STAGES)
        assert gone(process.pid)
        assert await driver.is_paused(spec.sandbox_id)
        machine = await resume(driver, spec)
        assert not await driver.is_paused(spec.sandbox_id)
        assert await run(machine, "cat", "/root/file", "/dev/shm/file") == "on the disk\nin memory"
        assert await shell(machine, "echo $COLOUR") == "green"
        number = before[1]
        await shell(machine, f"while test $(cut -d' ' -f2 /tmp/count) -le {number}; do sleep 0.05; done")
        assert (await run(machine, "cat", "/tmp/count")).split()[0] == before[0] == pid


@pytest.mark.parametrize("name", [MEMORY, STATE, "manifest.json"])
async def test_a_damaged_pause_is_refused_and_kept(driver: QemuDriver, laboratory: Laboratory, name: str) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await driver.pause(spec, machine, NO_STAGES)
    [pause] = pauses(laboratory.folder(spec))
    with flipped_bit(pause / name):
        before = contents(laboratory.folder(spec))
        with pytest.raises(AgentError) as caught:
            await resume(driver, spec)
        assert caught.value.code is Code.IMAGE_MISMATCH
        assert contents(laboratory.folder(spec)) == before
    await resume(driver, spec)


async def test_memory_is_not_put_on_a_disk_that_moved_on(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await driver.pause(spec, machine, NO_STAGES)
    overlay = laboratory.folder(spec) / "overlay.qcow2"
    os.utime(overlay)
    assert not await driver.is_paused(spec.sandbox_id)
    with pytest.raises(AgentError) as caught:
        await resume(driver, spec)
    assert caught.value.code is Code.IMAGE_MISMATCH


@pytest.fixture
def small_disk(laboratory: Laboratory) -> Iterator[Callable[[Path, str], None]]:
    """Mounts a file system of a given size over a folder."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    mounted: list[Path] = []

    def mount(folder: Path, size: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("size", ["4k", "1m"])
async def test_on_a_full_disk_the_machine_runs_on(
    driver: QemuDriver, laboratory: Laboratory, small_disk: Callable[[Path, str], None], size: str
) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo remembered > /dev/shm/mark")
    folder = laboratory.folder(spec)
    overlay = os.open(folder / "overlay.qcow2", os.O_RDONLY)
    small_disk(folder, size)
    try:
        (folder / "overlay.qcow2").symlink_to(f"/proc/{os.getpid()}/fd/{overlay}")
        with pytest.raises(AgentError) as caught:
            await driver.pause(spec, machine, NO_STAGES)
    finally:
        os.close(overlay)
    assert caught.value.code is Code.DISK_FULL
    assert not pauses(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["overlay.qcow2"]
    assert await run(machine, "cat", "/dev/shm/mark") == "remembered"
    await driver.kill(machine)


async def test_a_cancelled_pause_is_finished(driver: QemuDriver) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    async with asyncio.TaskGroup() as tasks:
        stopped = asyncio.Event()
        task = tasks.create_task(driver.pause(spec, machine, lambda _: stopped.set()))
        await stopped.wait()
        task.cancel()
    assert task.cancelled()
    assert gone(machine.process.pid)
    await resume(driver, spec)


async def test_a_pause_of_a_machine_that_is_gone_says_so(driver: QemuDriver) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    os.kill(machine.process.pid, 9)
    with pytest.raises(AgentError) as caught:
        await driver.pause(spec, machine, NO_STAGES)
    assert caught.value.code is Code.MACHINE_GONE


async def test_a_command_under_way_does_not_stop_a_pause(driver: QemuDriver) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "nohup sh -c 'while :; do echo full of output; done' >/dev/null 2>&1 &")
    await driver.pause(spec, machine, NO_STAGES)
    assert await shell(await resume(driver, spec), "pgrep -c sh || echo $(ps x | grep -c 'full of')") != "0"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_guest_that_does_not_answer_after_a_resume_is_saved_as_it_is_then(
    driver: QemuDriver, laboratory: Laboratory
) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "while :; do date >> /root/log; sync; done >/dev/null 2>&1 & echo in memory > /dev/shm/mark")
    await driver.pause(spec, machine, NO_STAGES)
    impatient = laboratory.second(guest_timeout_seconds=0.01)
    await impatient.open()
    try:
        with pytest.raises(AgentError) as caught:
            await resume(impatient, spec)
        assert caught.value.code is Code.GUEST_UNRESPONSIVE
    finally:
        await impatient.close()
    assert await driver.is_paused(spec.sandbox_id)
    machine = await resume(driver, spec)
    assert await run(machine, "cat", "/dev/shm/mark") == "in memory"

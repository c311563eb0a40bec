"""Machines from one image: nothing of one reaches another."""

import asyncio
import hashlib
import os
import time
import uuid
from pathlib import Path

import pytest

from agent.drivers.driver import Isolation
from agent.drivers.qemu import QemuDriver
from agent.errors import AgentError, Code
from agent.machine import Spec
from tests.agent.drivers.qemu.laboratory import NO_STAGES, Laboratory, new_spec, run, shell, start
from tests.agent.running_guest import gone

pytestmark = pytest.mark.vm
CLOCK_NS_MAX = 2_000_000_000  # the answer itself takes a while on a busy computer


async def test_two_clones_share_no_identity(driver: QemuDriver) -> None:
    machines = [await start(driver, new_spec()) for _ in range(2)]
    facts = "hostname; cat /etc/machine-id; head -c 16 /dev/urandom | base64; cat /proc/sys/kernel/random/uuid"
    first, second = [(await shell(machine, facts)).splitlines() for machine in machines]
    assert len(first) == len(second) == 4
    assert not set(first) & set(second)
    for machine in machines:
        assert abs(int(await shell(machine, "date +%s%N")) - time.time_ns()) < CLOCK_NS_MAX


async def test_two_clones_draw_different_random_numbers_in_python(driver: QemuDriver) -> None:
    machines = [await start(driver, new_spec()) for _ in range(2)]
    draw = "import os, secrets, uuid; print(secrets.token_hex(), uuid.uuid4(), os.getrandom(16).hex())"
    first, second = [(await run(machine, "python3", "-c", draw)).split() for machine in machines]
    assert len(first) == len(second) == 3
    assert not set(first) & set(second)


async def test_a_guest_has_what_programs_expect(driver: QemuDriver) -> None:
    machine = await start(driver, new_spec())
    assert await shell(machine, "cat /sys/class/net/lo/flags") == "0x9"  # up, loopback
    mounted = (await shell(machine, "cut -d' ' -f2 /proc/mounts")).splitlines()
    assert {"/dev/shm", "/dev/pts", "/tmp"} <= set(mounted)
    await shell(machine, "pip --version && git init -q /tmp/repository && python3 -m venv --without-pip /tmp/venv")
    pool = "import multiprocessing as m\nif __name__ == '__main__': print(m.Pool(2).map(abs, [-1, -2]))"
    assert await run(machine, "python3", "-c", pool) == "[1, 2]"
    disk_mb = int((await shell(machine, "df -m --output=size / | tail -1")).strip())
    memory_mb = int(await shell(machine, "free -m | awk '/^Mem/ {print $2}'"))
    assert 4500 < disk_mb <= 5120
    assert 400 < memory_mb <= 512


async def test_a_guest_knows_its_sandbox_by_the_id_that_users_see(driver: QemuDriver) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    assert await shell(machine, "echo $NESTBOX_SANDBOX_ID") == f"sb-{spec.sandbox_id}"


async def test_what_a_clone_writes_stays_its_own(driver: QemuDriver) -> None:
    machine = await start(driver, new_spec())
    [image] = driver._store.all()
    ram_fd = await driver._store.sealed_ram(image)
    before = _digest(ram_fd)
    await shell(machine, "head -c 50000000 /dev/urandom > /dev/shm/noise; echo mine > /root/file")
    assert _digest(ram_fd) == before
    with pytest.raises(PermissionError):
        os.pwrite(ram_fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(ram_fd, 0)
    other = await start(driver, new_spec())
    assert await shell(other, "ls /dev/shm /root") == "/dev/shm:\n\n/root:"


def _digest(fd: int) -> str:
    with Path(f"/proc/self/fd/{fd}").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def test_many_start_at_once(driver: QemuDriver) -> None:
    specs = [new_spec(NUMBER=str(number)) for number in range(6)]
    async with asyncio.TaskGroup() as tasks:
        starting = [tasks.create_task(start(driver, spec)) for spec in specs]
    for number, task in enumerate(starting):
        assert await shell(task.result(), "echo $NUMBER") == str(number)
    assert len({task.result().process.pid for task in starting}) == len(specs)


@pytest.mark.parametrize("stage", ["image", "disk", "spawn", "restore"])
async def test_a_cancelled_start_leaves_nothing(driver: QemuDriver, laboratory: Laboratory, stage: str) -> None:
    spec = new_spec()
    reached = asyncio.Event()
    pids: list[int] = []

    def mark(name: str) -> None:
        if name == stage:
            reached.set()
        pids.extend(_qemu_of(spec))

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(driver.start(spec, uuid.uuid4(), mark))
        await reached.wait()
        task.cancel()
    assert task.cancelled()
    assert all(gone(pid) for pid in pids)
    assert not _qemu_of(spec)
    assert spec.sandbox_id not in await driver.leftovers()
    await start(driver, spec)


def _qemu_of(spec: Spec) -> list[int]:
    """Processes that name the sandbox on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(spec.sandbox_id).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


async def test_what_cannot_be_had_is_refused(driver: QemuDriver) -> None:
    with pytest.raises(AgentError) as caught:
        await driver.prepare("nonesuch", 1, 512)
    assert caught.value.code is Code.UNKNOWN_TEMPLATE
    for vcpus, memory_mb, disk_size_mb in [(1, 64, 5120), (1, 512, 5119)]:
        spec = Spec(uuid.uuid4(), uuid.UUID(int=1), "base", vcpus, memory_mb, disk_size_mb)
        with pytest.raises(AgentError) as caught:
            await driver.start(spec, uuid.uuid4(), NO_STAGES)
        assert caught.value.code is Code.UNSUPPORTED_SHAPE
        assert spec.sandbox_id not in await driver.leftovers()


async def test_the_host_says_what_it_is(driver: QemuDriver) -> None:
    facts = await driver.facts()
    assert facts.accelerator in {"kvm", "tcg"}
    assert (facts.isolation is Isolation.HARDWARE) == (facts.accelerator == "kvm")
    assert [(image.template_name, image.vcpus, image.memory_mb, image.disk_size_mb) for image in facts.images] == [
        ("base", 1, 512, 5120)
    ]
    if facts.accelerator == "tcg":
        assert any("kvm" in sentence.lower() for sentence in facts.shortcomings)


async def test_a_removed_sandbox_leaves_no_file_and_no_group(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    assert await run(machine, "true") == ""
    await driver.kill(machine)
    assert (laboratory.folder(spec) / "overlay.qcow2").exists()
    await driver.remove(spec.sandbox_id)
    await driver.remove(spec.sandbox_id)
    assert not laboratory.folder(spec).exists()

"""A host's disk that is full: machines whose files lie on it stand still, and go on when there is room."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from agent.drivers.driver import LiveMachine
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.saved import pauses
from agent.errors import AgentError, Code
from agent.host import Host, open_host
from agent.machine import Create, Destroy, Fork, Machine, Pause, Spec, State
from tests.agent.drivers.qemu.laboratory import Laboratory, new_spec, qemu_machine, run, shell
from tests.waiting import eventually

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]
SMALL, LARGE = "6m", "1g"
MUCH = "head -c 12M /dev/urandom > /dev/shm/much"
WRITE = "cp /dev/shm/much /root/much; sync; touch /dev/shm/written"
WRITTEN = "echo 3 > /proc/sys/vm/drop_caches; cmp /dev/shm/much /root/much && echo same"
CLOCK_SECONDS = 1.0


@pytest.fixture
def sized(laboratory: Laboratory) -> Iterator[Callable[[str], None]]:
    """Machines' files lie on a file system of their own from the beginning; its size can be set again."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    folder = laboratory.settings.machines_dir
    folder.mkdir(mode=0o711, exist_ok=True)
    mount = ("mount", "-t", "tmpfs", "tmpfs", str(folder))
    subprocess.run([*mount, "-o", f"mode=711,size={SMALL}"], check=True)

    def resize(size: str) -> None:
        subprocess.run([*mount, "-o", f"remount,size={size}"], check=True)

    yield resize
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@asynccontextmanager
async def hosting(laboratory: Laboratory, folder: Path) -> AsyncIterator[Host]:
    async with open_host(folder, laboratory.second(), None) as opened:
        yield opened


def live_of(host: Host, spec: Spec) -> QemuMachine:
    with host.use(spec.sandbox_id) as live:
        return qemu_machine(live)


def seen(host: Host) -> Machine:
    """The only one."""
    [machine] = host.list_machines().machines
    return machine


async def stands_still(host: Host, spec: Spec) -> None:
    """It remembers something, writes more than there is room for, and is found waiting."""
    live = live_of(host, spec)
    await shell(live, f"echo remembered > /dev/shm/mark; {MUCH}")
    await shell(live, f"({WRITE}) >/dev/null 2>&1 </dev/null &")
    await eventually(lambda: seen(host).waits_for_room, 60)
    # also after it was tried again
    tried = live.running.room._times
    await eventually(lambda: live.running.room._times > tried + 1)
    assert seen(host).waits_for_room
    assert seen(host).state is State.RUNNING
    assert any("1 machines stand still" in sentence for sentence in (await host.describe()).shortcomings)


async def goes_on(host: Host, live: LiveMachine) -> None:
    """It has written all that it wanted to, remembers, and knows what time it is."""
    await eventually(lambda: not seen(host).waits_for_room)
    await shell(live, "while ! test -e /dev/shm/written; do sleep 0.1; done")
    assert await shell(live, WRITTEN) == "same"
    assert await run(live, "cat", "/dev/shm/mark") == "remembered"
    assert abs(float(await run(live, "date", "+%s.%N")) - time.time()) < CLOCK_SECONDS
    assert not any("stand still" in sentence for sentence in (await host.describe()).shortcomings)


async def test_a_machine_whose_disk_finds_no_room_stands_still_and_goes_on(
    laboratory: Laboratory, tmp_path: Path, sized: Callable[[str], None]
) -> None:
    async with hosting(laboratory, tmp_path) as host:
        spec = new_spec()
        await host.obey(spec.sandbox_id, Create(spec), 1)
        await stands_still(host, spec)
        live = live_of(host, spec)
        # it cannot answer, and is not taken for hung; a call waits
        host.watchdog.ping_seconds = 0.01
        call = asyncio.ensure_future(run(live, "echo", "answered"))
        host.watchdog.look()
        await eventually(lambda: not host.watchdog._under_way)
        for action in (Pause(), Fork(uuid4(), (uuid4(),))):
            with pytest.raises(AgentError) as refused:
                await host.obey(spec.sandbox_id, action, seen(host).generation + 1)
            assert refused.value.code is Code.DISK_FULL
            assert seen(host).state is State.RUNNING
        assert not pauses(laboratory.folder(spec))
        assert not call.done()
        sized(LARGE)
        assert await call == "answered"
        await goes_on(host, live)
        # and it can be paused and ended like any other
        paused = await host.obey(spec.sandbox_id, Pause(), seen(host).generation + 1)
        assert paused.state is State.PAUSED
        await host.obey(spec.sandbox_id, Destroy(), paused.generation + 1)


async def test_a_machine_that_stands_still_is_taken_over_by_a_new_agent(
    laboratory: Laboratory, tmp_path: Path, sized: Callable[[str], None]
) -> None:
    spec = new_spec()
    async with hosting(laboratory, tmp_path) as host:
        await host.obey(spec.sandbox_id, Create(spec), 1)
        await stands_still(host, spec)
    since = time.monotonic()
    async with hosting(laboratory, tmp_path) as host:
        # nobody waited for an answer that it cannot give
        assert time.monotonic() - since < laboratory.settings.guest_timeout_seconds
        assert seen(host).waits_for_room
        sized(LARGE)
        await goes_on(host, live_of(host, spec))
        await host.obey(spec.sandbox_id, Destroy(), 2)


async def test_a_machine_that_stands_still_can_be_deleted(
    laboratory: Laboratory, tmp_path: Path, sized: Callable[[str], None]
) -> None:
    async with hosting(laboratory, tmp_path) as host:
        spec = new_spec()
        await host.obey(spec.sandbox_id, Create(spec), 1)
        await stands_still(host, spec)
        assert (await host.obey(spec.sandbox_id, Destroy(), 2)).state is State.DELETED
        assert not laboratory.folder(spec).exists()
        assert not seen(host).waits_for_room

"""A machine outlives the agent, and its end is noticed by whoever watches it."""

import asyncio
import contextlib
import os
import signal

import pytest

from agent.drivers.driver import ProcessIdentity
from agent.drivers.qemu import QemuDriver
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.monitor import MonitorError
from agent.errors import AgentError, Code
from agent.machine import Cause
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
from tests.agent.running_guest import gone
from tests.waiting import eventually

pytestmark = pytest.mark.vm
NOTICED_SECONDS = 5.0


async def test_a_new_agent_takes_over_a_machine(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo remembered > /dev/shm/mark")
    identity, incarnation = machine.process, machine.incarnation
    await driver.close()
    other = laboratory.second()
    await other.open()
    try:
        adopted = await other.adopt(spec, incarnation, identity)
        assert adopted is not None
        assert adopted.process == identity
        assert await run(adopted, "cat", "/dev/shm/mark") == "remembered"
        taken = qemu_machine(adopted).running.uid
        another = await start(other, new_spec())
        assert another.running.uid != taken or taken is None
        await other.pause(spec, adopted, NO_STAGES)
        assert gone(identity.pid)
        resumed = await resume(other, spec)
        assert await run(resumed, "cat", "/dev/shm/mark") == "remembered"
        for sandbox_id in await other.leftovers():
            await other.remove(sandbox_id)
    finally:
        await other.close()


async def test_the_end_of_an_adopted_machine_is_noticed(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await driver.close()
    other = laboratory.second()
    await other.open()
    try:
        adopted = await other.adopt(spec, machine.incarnation, None)  # the ledger had no time
        assert adopted is not None
        os.kill(machine.process.pid, signal.SIGKILL)
        async with asyncio.timeout(NOTICED_SECONDS):
            death = await adopted.died()
        assert death.cause is Cause.KILLED
        assert await other.adopt(spec, machine.incarnation, machine.process) is None
    finally:
        await other.close()


async def test_nothing_is_adopted_or_ended_that_is_not_ours(driver: QemuDriver) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    stranger = ProcessIdentity(os.getpid(), machine.process.start_ticks)
    assert await driver.adopt(spec, machine.incarnation, stranger) is None
    reused = ProcessIdentity(machine.process.pid, machine.process.start_ticks + 1)
    assert await driver.adopt(spec, machine.incarnation, reused) is None
    assert await run(machine, "echo", "here") == "here"


async def test_a_pause_that_was_not_finished_is_undone(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await machine.running.monitor.run("stop")
    (laboratory.folder(spec) / f"unfinished-{machine.incarnation}").mkdir()
    await driver.close()
    other = laboratory.second()
    await other.open()
    try:
        adopted = await other.adopt(spec, machine.incarnation, machine.process)
        assert adopted is not None
        assert await run(adopted, "echo", "here") == "here"
        assert not list(laboratory.folder(spec).glob("unfinished-*"))
        await other.kill(adopted)
    finally:
        await other.close()


@pytest.mark.parametrize("fits", [True, False], ids=["of its disk", "of a disk that moved on"])
async def test_a_pause_that_was_finished_counts_if_it_fits(
    driver: QemuDriver, laboratory: Laboratory, *, fits: bool
) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo remembered > /dev/shm/mark")
    pid = machine.process.pid
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def do_not_end() -> None:
        await ended

    machine.end = do_not_end  # type: ignore[method-assign] # the agent is killed at this moment
    synced = asyncio.Event()
    pausing = asyncio.ensure_future(
        driver.pause(spec, machine, lambda stage: synced.set() if stage == "sync" else None)
    )
    await synced.wait()
    assert await driver.is_paused(spec.sandbox_id)
    assert not gone(pid)
    if not fits:
        os.utime(laboratory.folder(spec) / "overlay.qcow2")
        await machine.forget()
    other = laboratory.second()
    await other.open()
    try:
        adopted = await other.adopt(spec, machine.incarnation, machine.process)
        if fits:
            assert adopted is None
            assert gone(pid)
        else:
            # all that there is of it is in its QEMU, which would have been ended for nothing
            assert adopted is not None
            assert await run(adopted, "cat", "/dev/shm/mark") == "remembered"
            await other.kill(adopted)
        assert await other.is_paused(spec.sandbox_id) is fits
    finally:
        await other.close()
        ended.set_result(None)
        await pausing


async def test_a_killed_machine_is_noticed(driver: QemuDriver) -> None:
    machine = await start(driver, new_spec())
    os.kill(machine.process.pid, signal.SIGKILL)
    async with asyncio.timeout(NOTICED_SECONDS):
        death = await machine.died()
    assert (death.cause, death.detail) == (Cause.KILLED, "QEMU was killed; exit status 137"), "without its warnings"
    with pytest.raises(AgentError) as caught:
        await machine.ping()
    assert caught.value.code is Code.MACHINE_GONE


async def test_a_machine_that_ends_by_itself_is_noticed(driver: QemuDriver) -> None:
    machine = await start(driver, new_spec())
    with contextlib.suppress(MonitorError):
        await machine.running.monitor.run("quit")
    async with asyncio.timeout(NOTICED_SECONDS):
        death = await machine.died()
    assert death.cause is Cause.CRASHED
    assert "exit status 0" in death.detail


async def test_a_machine_at_its_memory_limit_is_out_of_memory(driver: QemuDriver) -> None:
    machine = await start(driver, new_spec())
    if machine.running.group is None or machine.running.group.events is None:
        pytest.skip("this host has no limits on memory")
    folder = machine.running.group.events.parent
    # Of version 1, of version 2.
    for used, limit in (("memory.usage_in_bytes", "memory.limit_in_bytes"), ("memory.current", "memory.max")):
        if (folder / limit).exists():
            (folder / limit).write_text(str(int((folder / used).read_text()) + (16 << 20)))
    with contextlib.suppress(AgentError):
        await shell(machine, "head -c 300000000 /dev/zero > /dev/shm/zeros")
    async with asyncio.timeout(NOTICED_SECONDS):
        death = await machine.died()
    assert death.cause is Cause.OUT_OF_MEMORY


@pytest.mark.parametrize("line", ["echo c > /proc/sysrq-trigger", "echo o > /proc/sysrq-trigger"])
async def test_a_guest_that_stops_by_itself_is_noticed(driver: QemuDriver, line: str) -> None:
    machine = await start(driver, new_spec())
    async with asyncio.TaskGroup() as tasks:
        command = tasks.create_task(_ignored(machine, line))
        async with asyncio.timeout(NOTICED_SECONDS * 4):
            death = await machine.died()
        command.cancel()
    assert death.cause is Cause.CRASHED
    assert "guest" in death.detail


HOG = "sysctl -qw vm.panic_on_oom=1; python3 -c 'held = [bytearray(1 << 20) for _ in range(1000)]'"


async def test_a_guest_whose_memory_is_full_is_out_of_memory(driver: QemuDriver) -> None:
    machine = await start(driver, new_spec())
    async with asyncio.TaskGroup() as tasks:
        command = tasks.create_task(_ignored(machine, HOG))
        async with asyncio.timeout(60):
            death = await machine.died()
        command.cancel()
    assert death.cause is Cause.OUT_OF_MEMORY
    assert "guest" in death.detail
    assert gone(machine.process.pid)


async def test_a_guest_that_stopped_while_no_agent_looked_is_found_dead(
    driver: QemuDriver, laboratory: Laboratory
) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    machine.running.monitor.at_shutdown = lambda: None
    command = asyncio.ensure_future(_ignored(machine, HOG))
    await eventually(lambda: machine.running.monitor.shutdown_reason != "", 60)
    command.cancel()
    assert not gone(machine.process.pid)
    await driver.close()
    other = laboratory.second()
    await other.open()
    try:
        adopted = await other.adopt(spec, machine.incarnation, machine.process)
        assert adopted is not None
        async with asyncio.timeout(5):
            assert (await adopted.died()).cause is Cause.OUT_OF_MEMORY
        assert gone(machine.process.pid)
    finally:
        await other.close()


async def _ignored(machine: QemuMachine, line: str) -> None:
    with contextlib.suppress(AgentError):
        await shell(machine, line)


async def test_a_machine_without_a_record_is_ended_not_forgotten(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    pid = machine.process.pid
    await driver.close()
    (laboratory.folder(spec) / "process.json").unlink()
    other = laboratory.second()
    await other.open()
    try:
        assert await other.adopt(spec, machine.incarnation, None) is None
        assert gone(pid)
        await other.remove(spec.sandbox_id)
    finally:
        await other.close()

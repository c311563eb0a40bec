"""What a machine keeps when it becomes another's, and what it keeps when it goes on as itself."""

import asyncio
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from agent.drivers.driver import NewTemplate
from agent.drivers.qemu import QemuDriver
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.monitor import MonitorError
from agent.errors import AgentError, Code
from agent.machine import TemplateType
from tests.agent.drivers.qemu.laboratory import NO_STAGES, new_spec, resume, run, shell, start
from tests.waiting import eventually

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]
ANSWER_SECONDS = 15.0
CLOCK_SECONDS_MAX = 0.05
CLOCK_QUESTIONS = 3
STANDSTILLS = 6
DRAWN = 7

# Connections without a network: in repair mode the kernel takes the caller's word for them. One leads out by IPv4, one
# by IPv6; one is within the machine, and one waits for callers. Each writes down how it ended.
PROGRAM = """
import os, socket, subprocess, threading
subprocess.run("ip link set eth0 up; ip addr add 10.9.8.7/24 dev eth0; ip addr add fd00::7/64 dev eth0 nodad",
    shell=True, check=True)
def out(family, address):
    sock = socket.socket(family)
    sock.setsockopt(socket.IPPROTO_TCP, 19, 1)
    sock.bind(address)
    sock.connect((address[0][:-1] + "8", 80))
    sock.setsockopt(socket.IPPROTO_TCP, 19, -1)
    return sock
server = socket.create_server(("127.0.0.1", 0))
near = socket.create_connection(server.getsockname())
far = server.accept()[0]
def watch(name, sock):
    try:
        ended = repr(sock.recv(1))
    except OSError as error:
        ended = error.strerror
    with open("/tmp/ended", "a") as file:
        file.write(f"{name}: {ended}\\n")
for name, sock in (("v4", out(socket.AF_INET, ("10.9.8.7", 5000))),
        ("v6", out(socket.AF_INET6, ("fd00::7", 5001))), ("near", near)):
    threading.Thread(target=watch, args=(name, sock)).start()
open("/tmp/ready", "w")
"""
ESTABLISHED = "cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"01\"' | wc -l"
ABORTED = {"v4: Software caused connection abort", "v6: Software caused connection abort"}


async def _connected(machine: QemuMachine) -> None:
    await shell(machine, f"cat > /tmp/program <<'END'\n{PROGRAM}\nEND\nnohup python3 /tmp/program > /tmp/log 2>&1 &")

    async def ready() -> bool:
        return await shell(machine, "test -e /tmp/ready && echo yes; true") == "yes"

    await eventually(ready, ANSWER_SECONDS)
    assert await shell(machine, ESTABLISHED) == "4", await shell(machine, "cat /tmp/log")


async def _is_reset(machine: QemuMachine) -> None:
    async def told() -> bool:
        return set((await shell(machine, "cat /tmp/ended; true")).splitlines()) == ABORTED

    await eventually(told, ANSWER_SECONDS)
    assert await shell(machine, ESTABLISHED) == "2", "within the machine everything stays"


async def test_connections_of_the_parent_are_reset_in_forks_not_hung(driver: QemuDriver) -> None:
    spec, kept, made = new_spec(), uuid4(), uuid4()
    parent = await start(driver, spec)
    await _connected(parent)
    await driver.snapshot(spec, parent, kept, NO_STAGES)
    for _ in range(2):
        await _is_reset(await start(driver, replace(spec, sandbox_id=uuid4(), snapshot_id=kept)))
    await driver.make_template(kept, NewTemplate(made, "mine"), lambda _: None)
    await driver.drop_snapshot(kept)
    of_template = replace(new_spec(), template_id=made, template_name="mine", template_type=TemplateType.SNAPSHOT)
    await _is_reset(await start(driver, of_template))
    assert await shell(parent, ESTABLISHED) == "4"
    assert await shell(parent, "cat /tmp/ended 2>/dev/null; true") == ""
    await driver.remove(of_template.sandbox_id)
    await driver.remove_template(made)


async def test_a_paused_machine_keeps_its_connections(driver: QemuDriver) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await _connected(machine)
    await driver.pause(spec, machine, NO_STAGES)
    resumed = await resume(driver, spec)
    assert await shell(resumed, ESTABLISHED) == "4"
    assert await shell(resumed, "cat /tmp/ended 2>/dev/null; true") == ""


# As a sandbox's programs would draw them, and what else must be its own.
DRAW = """
import os, random, secrets, time, uuid
print(time.time_ns(), os.getrandom(16).hex(), open("/dev/urandom", "rb").read(16).hex(), secrets.token_hex(),
    uuid.uuid4(), random.getrandbits(128), open("/proc/sys/kernel/random/uuid").read().strip(),
    open("/etc/machine-id").read().strip(), open("/etc/hostname").read().strip(), os.uname().nodename)
"""
AT_ONCE = 4


@pytest.mark.parametrize("count", [20, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
async def test_forks_share_no_random_numbers_and_know_the_time(driver: QemuDriver, count: int) -> None:
    spec, kept = new_spec(), uuid4()
    parent = await start(driver, spec)
    await run(parent, "python3", "-c", DRAW)
    await driver.snapshot(spec, parent, kept, NO_STAGES)
    seen: set[str] = set()
    turn = asyncio.Semaphore(AT_ONCE)

    async def draw() -> None:
        child = replace(spec, sandbox_id=uuid4(), snapshot_id=kept)
        async with turn:
            machine = await start(driver, child)
            drawn = (await run(machine, "python3", "-c", DRAW)).split()
            assert drawn.pop() == drawn.pop(), "the hostname is the same, wherever one looks"
            assert await _clock_error_seconds(machine) < CLOCK_SECONDS_MAX
            assert len(drawn[1:]) == len(seen.intersection(drawn[1:]) ^ set(drawn[1:])) == DRAWN
            seen.update(drawn[1:])
            await driver.remove(child.sandbox_id)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(draw())
    await driver.drop_snapshot(kept)
    assert len(seen) == count * DRAWN


async def _clock_error_seconds(machine: QemuMachine) -> float:
    """How far the guest's clock is from any moment between question and answer: what the question takes is not its
    fault."""
    best = float("inf")
    for _ in range(CLOCK_QUESTIONS):
        before = time.time()
        told = float(await run(machine, "date", "+%s.%N"))
        after = time.time()
        best = min(best, max(before - told, told - after, 0.0))
    return best


async def test_a_machine_that_stood_still_and_went_on_knows_the_time(
    driver: QemuDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    monitor = machine.running.monitor
    real, refused = monitor.run, False

    async def slow(command: str, /, **arguments: object) -> object:
        if command == "xen-save-devices-state":
            await asyncio.sleep(CLOCK_SECONDS_MAX)  # not a wait: the machine stands still for longer
            if refused:
                raise MonitorError("refused by the test")
        return await real(command, **arguments)

    monkeypatch.setattr(monitor, "run", slow)
    for _ in range(STANDSTILLS):
        kept = uuid4()
        await driver.snapshot(spec, machine, kept, NO_STAGES)
        await driver.drop_snapshot(kept)
    assert await _clock_error_seconds(machine) < CLOCK_SECONDS_MAX
    refused = True
    for _ in range(STANDSTILLS):
        with pytest.raises(AgentError) as failure:
            await driver.pause(spec, machine, NO_STAGES)
        assert failure.value.code is Code.PAUSE_FAILED
    assert await _clock_error_seconds(machine) < CLOCK_SECONDS_MAX

"""What every driver promises (`agent/drivers/driver.py`), on each of them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from agent.drivers.driver import Command, Exited, LiveMachine, ProcessIdentity, Started
from agent.drivers.simulated import SimulatedDriver
from agent.errors import AgentError, Code
from agent.machine import Cause, Spec
from tests.agent.drivers.bench import DEADLINE_SECONDS, Bench, no_stages, raises, ran, read, run, write
from tests.agent.drivers.qemu.laboratory import new_spec

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(bench: Bench) -> AsyncIterator[LiveMachine]:
    """One that the tests which change nothing of it share. It comes after the driver, and goes before it."""
    async with bench.sandbox(FROM="sandbox", BOTH="sandbox") as (_, machine):
        yield machine


# Commands.


async def test_a_command_says_what_it_does(machine: LiveMachine) -> None:
    result = await run(machine, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")
    assert result.pid > 0
    assert result.exited is not None
    assert (result.exited.exit_code, result.exited.signal, result.exited.timed_out) == (3, 0, False)
    assert result.exited.duration_us > 0


async def test_a_command_reads_its_input_to_the_end(machine: LiveMachine) -> None:
    data = bytes(range(256)) * 4096
    assert (await run(machine, "cat", stdin=data)).stdout == data


async def test_a_command_has_both_environments_and_its_own_wins(machine: LiveMachine) -> None:
    lines = (await run(machine, "env", BOTH="command")).stdout.splitlines()
    assert {b"FROM=sandbox", b"BOTH=command"} <= set(lines)
    assert any(line.startswith(b"PATH=") for line in lines)


async def test_a_command_runs_where_it_is_told_to(machine: LiveMachine) -> None:
    assert (await ran(machine, Command(("pwd",), cwd="/usr"))).stdout == b"/usr\n"
    assert (await run(machine, "pwd")).stdout.startswith(b"/")


async def test_a_command_that_takes_too_long_is_killed(machine: LiveMachine) -> None:
    result = await run(machine, "sleep", "60", timeout_ms=300)
    assert result.exited is not None
    assert (result.exited.exit_code, result.exited.signal, result.exited.timed_out) == (137, 9, True)


async def test_commands_that_cannot_start_say_why(machine: LiveMachine) -> None:
    await write(machine, "/root/no-program", b"text")
    with raises(Code.COMMAND_NOT_FOUND):
        await run(machine, "no-such-program")
    with raises(Code.COMMAND_NOT_EXECUTABLE):
        await run(machine, "/root/no-program")
    with raises(Code.NO_SUCH_DIRECTORY):
        await ran(machine, Command(("true",), cwd="/nowhere"))


async def test_closing_a_command_kills_it(machine: LiveMachine) -> None:
    process = await machine.exec(Command(("sleep", "60")))
    events = aiter(process)
    assert isinstance(await anext(events), Started)
    await process.close()
    await process.close()
    await process.write(b"nobody reads this")
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for event in events:
            assert not isinstance(event, Exited) or event.signal == 9


async def test_commands_run_beside_each_other(machine: LiveMachine) -> None:
    results = await asyncio.gather(*(run(machine, "echo", str(number)) for number in range(10)))
    assert [result.stdout for result in results] == [f"{number}\n".encode() for number in range(10)]


async def test_it_answers_a_ping(machine: LiveMachine) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        await machine.ping()


# Files.


async def test_a_file_is_read_as_it_was_written(machine: LiveMachine) -> None:
    chunks = [bytes([number]) * 30_000 for number in range(50)]
    content = b"".join(chunks)
    assert await write(machine, "/root/new/folders/file.bin", *chunks, mode=0o750) == len(content)
    reader = await machine.read_file("/root/new/folders/file.bin")
    assert (reader.info.size_bytes, reader.info.mode & 0o7777) == (len(content), 0o750)
    assert reader.info.modified_ns > 0
    received = [chunk async for chunk in reader.content]
    assert b"".join(received) == content
    assert max(map(len, received)) <= 32 * 1024


async def test_a_part_of_a_file(machine: LiveMachine) -> None:
    await write(machine, "/root/part", b"0123456789")
    assert await read(machine, "/root/part", 3, 4) == b"3456"
    assert await read(machine, "/root/part", 8) == b"89"
    assert await read(machine, "/root/part", 8, 100) == b"89"
    assert await read(machine, "/root/part", 100) == b""


async def test_a_file_is_replaced_in_one_step_or_not_at_all(machine: LiveMachine) -> None:
    await write(machine, "/root/whole", b"before")

    async def broken() -> AsyncIterator[bytes]:
        yield b"half of it"
        raise AgentError(Code.INVALID, "The upload was cut off.")

    with raises(Code.INVALID):
        await machine.write_file("/root/whole", 0o644, broken())
    assert await read(machine, "/root/whole") == b"before"

    began = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"half of it"
        began.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(machine.write_file("/root/whole", 0o644, endless()))
        await began.wait()
        writing.cancel()
    assert await read(machine, "/root/whole") == b"before"
    await write(machine, "/root/whole")
    assert await read(machine, "/root/whole") == b""


async def test_what_is_no_file_says_so(machine: LiveMachine) -> None:
    await write(machine, "/root/a-file", b"x")
    with raises(Code.NO_SUCH_FILE):
        await read(machine, "/root/no-such-file")
    with raises(Code.NOT_A_FILE):
        await read(machine, "/root")
    with raises(Code.NOT_A_FILE):
        await write(machine, "/root", b"x")
    with raises(Code.NOT_A_FILE):
        await write(machine, "/root/a-file/below", b"x")


# A machine's life.


async def test_stages_are_told_in_order(bench: Bench) -> None:
    spec, stages = new_spec(), list[str]()
    machine = await bench.driver.start(spec, uuid4(), stages.append)
    assert stages == ["image", "disk", "spawn", "restore", "guest"]
    stages.clear()
    await bench.driver.pause(spec, machine, stages.append)
    assert stages == ["stop", "save", "sync", "release"]
    stages.clear()
    await bench.driver.resume(spec, uuid4(), stages.append)
    assert stages == ["verify", "spawn", "restore", "guest"]
    await bench.driver.remove(spec.sandbox_id)


async def test_files_are_the_same_after_a_pause_and_again(bench: Bench) -> None:
    async with bench.sandbox(NAME="value") as (spec, machine):
        live = machine
        assert not await bench.driver.is_paused(spec.sandbox_id)
        for content in (b"first", b"second"):
            await write(live, "/root/file", content)
            incarnation = uuid4()
            await bench.driver.pause(spec, live, no_stages)
            assert await bench.driver.is_paused(spec.sandbox_id)
            live = await bench.driver.resume(spec, incarnation, no_stages)
            assert live.incarnation == incarnation
            assert await read(live, "/root/file") == content
            assert b"NAME=value" in (await run(live, "env")).stdout.splitlines()
            # What was saved is older than the machine now: nobody may go back to it.
            assert not await bench.driver.is_paused(spec.sandbox_id)


async def test_processes_go_on_after_a_pause(bench: Bench) -> None:
    if bench.name == "simulated":
        return  # it has none that outlive their command
    count = "nohup sh -c 'while sleep 0.05; do echo >> /tmp/count; done' >/dev/null 2>&1 & echo $!"
    async with bench.sandbox() as (spec, machine):
        pid = (await run(machine, "sh", "-c", count)).stdout.strip().decode()
        await run(machine, "sh", "-c", "until test -s /tmp/count; do sleep 0.05; done")
        await bench.driver.pause(spec, machine, no_stages)
        resumed = await bench.driver.resume(spec, uuid4(), no_stages)
        more = f"kill -0 {pid} || exit 1; n=$(wc -l < /tmp/count); until test $(wc -l < /tmp/count) -gt $n; do :; done"
        exited = (await run(resumed, "sh", "-c", more, timeout_ms=20_000)).exited
        assert exited is not None
        assert exited.exit_code == 0


async def test_a_command_ends_with_a_reason_when_its_machine_is_paused(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine):
        events = aiter(await machine.exec(Command(("sleep", "60"))))
        assert isinstance(await anext(events), Started)
        await bench.driver.pause(spec, machine, no_stages)
        with raises(Code.MACHINE_GONE):
            async with asyncio.timeout(DEADLINE_SECONDS):
                await anext(events)


async def test_a_pause_runs_to_its_end_though_nobody_waits_for_it(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine), asyncio.TaskGroup() as group:
        pausing: asyncio.Task[None] | None = None

        def cancel(stage: str) -> None:
            if stage == "stop" and pausing is not None:
                pausing.cancel()

        pausing = group.create_task(bench.driver.pause(spec, machine, cancel))
        await asyncio.wait([pausing])
        assert await bench.driver.is_paused(spec.sandbox_id)
        await bench.driver.resume(spec, uuid4(), no_stages)


async def test_what_was_never_paused_cannot_be_resumed(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine):
        await bench.driver.kill(machine)
        assert not await bench.driver.is_paused(spec.sandbox_id)
        with raises(Code.IMAGE_MISMATCH):
            await bench.driver.resume(spec, uuid4(), no_stages)


async def test_a_kill_is_not_a_death_and_a_killed_machine_does_nothing(bench: Bench) -> None:
    async with bench.sandbox() as (_, machine):
        async with asyncio.TaskGroup() as group:
            dying = group.create_task(machine.died())
            await bench.driver.kill(machine)
            assert not dying.done()
            dying.cancel()
        with raises(Code.MACHINE_GONE):
            await machine.ping()
        with raises(Code.MACHINE_GONE):
            await run(machine, "true")


async def test_a_death_is_told_to_all_who_wait_and_keeps_the_disk(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine):
        async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as group:
            waiting = [group.create_task(machine.died()) for _ in range(3)]
            await machine.ping()
            if isinstance(bench.driver, SimulatedDriver):
                bench.driver.crash(spec.sandbox_id, Cause.KILLED)
            elif machine.process is not None:
                os.kill(machine.process.pid, signal.SIGKILL)
        assert {task.result().cause for task in waiting} == {Cause.KILLED}
        assert all(task.result().detail for task in waiting)
        assert (await machine.died()).cause is Cause.KILLED
        assert spec.sandbox_id in await bench.driver.leftovers()
        with raises(Code.MACHINE_GONE):
            await bench.driver.pause(spec, machine, no_stages)


async def test_a_removed_sandbox_leaves_nothing_and_may_be_removed_again(bench: Bench) -> None:
    spec = new_spec()
    machine = await bench.start(spec)
    assert spec.sandbox_id in await bench.driver.leftovers()
    await bench.driver.kill(machine)
    for _ in range(2):
        await bench.driver.remove(spec.sandbox_id)
        assert spec.sandbox_id not in await bench.driver.leftovers()


async def test_a_start_that_cannot_be_leaves_nothing(bench: Bench) -> None:
    before = await bench.driver.leftovers()
    for spec, code in (
        (Spec(uuid4(), uuid4(), "no-such-template", 1, 512, 5120), Code.UNKNOWN_TEMPLATE),
        (Spec(uuid4(), uuid4(), "base", 1, 512, 1), Code.UNSUPPORTED_SHAPE),
    ):
        with raises(code):
            await bench.start(spec)
    assert await bench.driver.leftovers() == before


@pytest.mark.parametrize("stage", ["disk", "spawn", "restore"])
async def test_a_start_that_is_cancelled_leaves_nothing(bench: Bench, stage: str) -> None:
    spec = new_spec()
    starting: asyncio.Task[LiveMachine] | None = None

    def cancel(name: str) -> None:
        if name == stage and starting is not None:
            asyncio.get_running_loop().call_soon(starting.cancel)

    async with asyncio.TaskGroup() as group:
        starting = group.create_task(bench.driver.start(spec, uuid4(), cancel))
        await asyncio.wait([starting])
    assert starting.cancelled()
    assert spec.sandbox_id not in await bench.driver.leftovers()


async def test_two_sandboxes_know_nothing_of_each_other(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine), bench.sandbox() as (_, other):
        await asyncio.gather(write(machine, "/root/mine", b"one"), write(other, "/root/mine", b"other"))
        await bench.driver.pause(spec, machine, no_stages)
        assert await read(other, "/root/mine") == b"other"
        resumed = await bench.driver.resume(spec, uuid4(), no_stages)
        assert await read(resumed, "/root/mine") == b"one"


async def test_a_restarted_agent_takes_over_what_runs(bench: Bench) -> None:
    noted, unnoted, paused, gone = (new_spec() for _ in range(4))
    machines = {spec.sandbox_id: await bench.start(spec) for spec in (noted, unnoted, paused, gone)}
    await write(machines[noted.sandbox_id], "/root/file", b"kept")
    await bench.driver.pause(paused, machines[paused.sandbox_id], no_stages)
    await bench.driver.kill(machines[gone.sandbox_id])
    await bench.restart()

    async def adopt(spec: Spec, process: ProcessIdentity | None) -> LiveMachine | None:
        incarnation = machines[spec.sandbox_id].incarnation
        return await bench.driver.adopt(spec, incarnation, process)

    first = await adopt(noted, machines[noted.sandbox_id].process)
    # The agent was killed before it could note the process: the driver finds it by its incarnation.
    second = await adopt(unnoted, None)
    assert first is not None
    assert second is not None
    assert first.incarnation == machines[noted.sandbox_id].incarnation
    assert await read(first, "/root/file") == b"kept"
    assert (await run(second, "echo", "here")).stdout == b"here\n"
    assert await adopt(gone, machines[gone.sandbox_id].process) is None
    assert await adopt(paused, machines[paused.sandbox_id].process) is None
    assert await bench.driver.adopt(noted, uuid4(), None) is None
    assert await bench.driver.is_paused(paused.sandbox_id)
    await bench.driver.pause(noted, first, no_stages)
    await bench.driver.resume(noted, uuid4(), no_stages)
    for spec in (noted, unnoted, paused, gone):
        await bench.driver.remove(spec.sandbox_id)


async def test_the_facts_name_the_driver_and_its_images(bench: Bench) -> None:
    facts = await bench.driver.facts()
    assert facts.driver == bench.driver.name == bench.name
    assert [(image.template_name, image.vcpus, image.memory_mb) for image in facts.images] == [("base", 1, 512)]
    assert await bench.driver.prepare("base", 1, 512) == facts.images[0]

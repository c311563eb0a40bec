"""What every driver promises of snapshots, forks, templates, disks and garbage, on each of them."""

import asyncio
import dataclasses
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest

from agent.drivers.driver import LiveMachine, NewTemplate
from agent.drivers.simulated import SimulatedDriver
from agent.errors import Code
from agent.machine import Spec, TemplateType
from tests.agent.drivers.bench import DEADLINE_SECONDS, Bench, no_stages, raises, read, run, write
from tests.agent.drivers.qemu.laboratory import new_spec
from tests.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


def child_of(parent: Spec, snapshot_id: UUID, **changes: object) -> Spec:
    child = dataclasses.replace(parent, sandbox_id=uuid4(), snapshot_id=snapshot_id)
    return dataclasses.replace(child, **changes)  # type: ignore[arg-type]


def of_template(template_id: UUID, **changes: object) -> Spec:
    spec = dataclasses.replace(
        new_spec(), template_id=template_id, template_name="mine", template_type=TemplateType.SNAPSHOT
    )
    return dataclasses.replace(spec, **changes)  # type: ignore[arg-type]


def nothing(_: int) -> None:
    """For those who do not ask."""


@asynccontextmanager
async def kept(bench: Bench, spec: Spec, machine: LiveMachine | None) -> AsyncIterator[UUID]:
    """A snapshot; nothing is left of it afterwards."""
    snapshot_id = uuid4()
    await bench.driver.snapshot(spec, machine, snapshot_id, no_stages)
    try:
        yield snapshot_id
    finally:
        await bench.driver.drop_snapshot(snapshot_id)


@asynccontextmanager
async def started(bench: Bench, spec: Spec) -> AsyncIterator[LiveMachine]:
    """A machine; nothing is left of it afterwards."""
    machine = await bench.start(spec)
    try:
        yield machine
    finally:
        await bench.driver.remove(spec.sandbox_id)


@asynccontextmanager
async def template(bench: Bench, spec: Spec, machine: LiveMachine | None) -> AsyncIterator[UUID]:
    """A template of a sandbox; nothing is left of it afterwards."""
    async with kept(bench, spec, machine) as template_id:
        await bench.driver.make_template(template_id, NewTemplate(template_id, "mine"), nothing)
    try:
        yield template_id
    finally:
        await bench.driver.remove_template(template_id)


# Snapshots and forks.


async def test_children_begin_as_their_parent_was_and_go_their_own_way(bench: Bench) -> None:
    async with bench.sandbox(NAME="parent") as (spec, parent):
        await write(parent, "/root/file", b"kept")
        stages, snapshot_id = list[str](), uuid4()
        assert not await bench.driver.has_snapshot(snapshot_id)
        await bench.driver.snapshot(spec, parent, snapshot_id, stages.append)
        assert stages == ["stop", "save", "layer", "continue", "sync"]
        assert await bench.driver.has_snapshot(snapshot_id)
        await parent.ping()
        await write(parent, "/root/file", b"parent")
        specs = [child_of(spec, snapshot_id, environment={"NAME": str(number)}) for number in range(2)]
        children = await asyncio.gather(*map(bench.start, specs))
        for _ in range(2):
            await bench.driver.drop_snapshot(snapshot_id)
        assert not await bench.driver.has_snapshot(snapshot_id)
        for number, child in enumerate(children):
            assert await read(child, "/root/file") == b"kept"
            await write(child, "/root/file", str(number).encode())
            assert f"NAME={number}".encode() in (await run(child, "env")).stdout.splitlines()
        assert await read(parent, "/root/file") == b"parent"
        # a child is a sandbox like any other: it is paused and resumed, and outlives its parent
        await bench.driver.remove(spec.sandbox_id)
        await bench.driver.pause(specs[0], children[0], no_stages)
        resumed = await bench.driver.resume(specs[0], uuid4(), no_stages)
        assert await read(resumed, "/root/file") == b"0"
        assert await read(children[1], "/root/file") == b"1"
        for one in specs:
            await bench.driver.remove(one.sandbox_id)


async def test_a_paused_sandbox_is_kept_and_stays_paused(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine):
        await write(machine, "/root/file", b"kept")
        await bench.driver.pause(spec, machine, no_stages)
        stages, snapshot_id = list[str](), uuid4()
        await bench.driver.snapshot(spec, None, snapshot_id, stages.append)
        assert stages == ["save", "sync"]
        assert await bench.driver.is_paused(spec.sandbox_id)
        resumed = await bench.driver.resume(spec, uuid4(), no_stages)
        await write(resumed, "/root/file", b"later")
        async with started(bench, child_of(spec, snapshot_id)) as child:
            assert await read(child, "/root/file") == b"kept"
        assert await read(resumed, "/root/file") == b"later"
        await bench.driver.drop_snapshot(snapshot_id)


async def test_a_sandbox_is_kept_again_and_again_and_boots_from_what_it_has(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine):
        for content in (b"first", b"second", b"third"):
            await write(machine, "/root/file", content)
            await run(machine, "sh", "-c", "sync" if bench.name == "qemu" else "true")
            async with kept(bench, spec, machine) as snapshot_id, started(bench, child_of(spec, snapshot_id)) as child:
                assert await read(child, "/root/file") == content
        await bench.driver.kill(machine)
        booted = await bench.driver.boot(spec, uuid4(), no_stages)
        assert await read(booted, "/root/file") == b"third"


async def test_a_child_that_cannot_be_leaves_nothing(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine), kept(bench, spec, machine) as snapshot_id:
        before = await bench.driver.leftovers()
        for child, code in (
            (child_of(spec, uuid4()), Code.UNKNOWN_SNAPSHOT),
            (child_of(spec, snapshot_id, vcpus=2), Code.UNSUPPORTED_SHAPE),
            (child_of(spec, snapshot_id, memory_mb=1024), Code.UNSUPPORTED_SHAPE),
            (child_of(spec, snapshot_id, disk_size_mb=5119), Code.UNSUPPORTED_SHAPE),
        ):
            with raises(code):
                await bench.start(child)
        assert await bench.driver.leftovers() == before
        assert await bench.driver.has_snapshot(snapshot_id)


async def test_a_snapshot_runs_to_its_end_though_nobody_waits_for_it(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine), asyncio.TaskGroup() as group:
        keeping: asyncio.Task[None] | None = None
        snapshot_id = uuid4()

        def cancel(stage: str) -> None:
            if stage == "stop" and keeping is not None:
                keeping.cancel()

        keeping = group.create_task(bench.driver.snapshot(spec, machine, snapshot_id, cancel))
        await asyncio.wait([keeping])
        assert await bench.driver.has_snapshot(snapshot_id)
        await machine.ping()
        await bench.driver.drop_snapshot(snapshot_id)


async def test_nothing_is_kept_of_a_machine_that_is_gone(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine):
        async with asyncio.timeout(DEADLINE_SECONDS):
            if isinstance(bench.driver, SimulatedDriver):
                bench.driver.crash(spec.sandbox_id)
            elif machine.process is not None:
                os.kill(machine.process.pid, signal.SIGKILL)
            await machine.died()
        snapshot_id = uuid4()
        with raises(Code.MACHINE_GONE):
            await bench.driver.snapshot(spec, machine, snapshot_id, no_stages)
        assert not await bench.driver.has_snapshot(snapshot_id)
        with raises(Code.IMAGE_MISMATCH):
            await bench.driver.snapshot(spec, None, snapshot_id, no_stages)
        assert not await bench.driver.has_snapshot(snapshot_id)


# Templates.


async def test_a_template_stands_on_nothing_but_itself(bench: Bench) -> None:
    told = list[int]()
    async with bench.sandbox() as (spec, machine):
        await write(machine, "/root/file", b"kept")
        async with kept(bench, spec, machine) as snapshot_id:
            new = NewTemplate(snapshot_id, "mine")
            await write(machine, "/root/file", b"later")
            made = await bench.driver.make_template(snapshot_id, new, told.append)
            assert (made.template_id, made.template_name) == (snapshot_id, "mine")
            assert (made.vcpus, made.memory_mb, made.disk_size_mb) == (spec.vcpus, spec.memory_mb, spec.disk_size_mb)
            assert made.stored_bytes > 0
            assert told == sorted(told)
            assert told[-1] == 100
            # one that is there is told of again
            assert await bench.driver.make_template(snapshot_id, new, nothing) == made
    assert made in (await bench.driver.facts()).images
    one = of_template(snapshot_id)
    stages = list[str]()
    live = await bench.driver.start(one, uuid4(), stages.append)
    assert stages == ["image", "disk", "spawn", "restore", "guest"]
    assert await read(live, "/root/file") == b"kept"
    # whatever state it is in, it stands on the template
    with raises(Code.TEMPLATE_IN_USE):
        await bench.driver.remove_template(snapshot_id)
    await bench.driver.pause(one, live, no_stages)
    with raises(Code.TEMPLATE_IN_USE):
        await bench.driver.remove_template(snapshot_id)
    live = await bench.driver.resume(one, uuid4(), no_stages)
    async with kept(bench, one, live):
        await bench.driver.remove(one.sandbox_id)
        with raises(Code.TEMPLATE_IN_USE):
            await bench.driver.remove_template(snapshot_id)
    for _ in range(2):
        await bench.driver.remove_template(snapshot_id)
    assert made not in (await bench.driver.facts()).images
    with raises(Code.UNKNOWN_TEMPLATE):
        await bench.start(of_template(snapshot_id))
    assert one.sandbox_id not in await bench.driver.leftovers()


async def test_a_template_of_nothing_is_none(bench: Bench) -> None:
    template_id = uuid4()
    with raises(Code.UNKNOWN_SNAPSHOT):
        await bench.driver.make_template(uuid4(), NewTemplate(template_id, "mine"), nothing)
    with raises(Code.UNKNOWN_TEMPLATE):
        await bench.start(of_template(template_id))
    await bench.driver.remove_template(template_id)


async def test_the_shape_of_a_template_is_fixed_and_its_disk_may_be_larger(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine):
        await write(machine, "/root/file", b"kept")
        async with template(bench, spec, machine) as template_id:
            for changes in ({"vcpus": 2}, {"memory_mb": 1024}, {"disk_size_mb": 5119}):
                with raises(Code.UNSUPPORTED_SHAPE):
                    await bench.start(of_template(template_id, **changes))
            async with started(bench, of_template(template_id, disk_size_mb=6144)) as larger:
                assert await read(larger, "/root/file") == b"kept"


async def test_a_build_that_is_cut_off_leaves_nothing_and_can_be_repeated(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine), kept(bench, spec, machine) as snapshot_id:
        new, begun = NewTemplate(snapshot_id, "mine"), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            making = group.create_task(bench.driver.make_template(snapshot_id, new, lambda _: begun.set()))
            await begun.wait()
            making.cancel()
            await asyncio.wait([making])
        if making.cancelled():
            with raises(Code.UNKNOWN_TEMPLATE):
                await bench.start(of_template(snapshot_id))
        assert await bench.driver.has_snapshot(snapshot_id)
        made = await bench.driver.make_template(snapshot_id, new, nothing)
        assert made.template_id == snapshot_id
        await bench.driver.remove_template(snapshot_id)


# Disks.


async def test_a_disk_may_be_larger_than_its_templates(bench: Bench) -> None:
    spec = dataclasses.replace(new_spec(), disk_size_mb=8192)
    async with started(bench, spec) as machine:
        await write(machine, "/root/file", b"kept")
        async with kept(bench, spec, machine) as snapshot_id:
            with raises(Code.UNSUPPORTED_SHAPE):
                await bench.start(child_of(spec, snapshot_id, disk_size_mb=5120))
            async with started(bench, child_of(spec, snapshot_id)) as child:
                assert await read(child, "/root/file") == b"kept"


async def test_what_a_sandbox_takes_grows_with_what_it_writes(bench: Bench) -> None:
    async with bench.sandbox() as (spec, machine):
        before = await bench.driver.stored_bytes(spec.sandbox_id)
        await write(machine, "/root/big", *(os.urandom(32 * 1024) for _ in range(256)))
        await bench.driver.pause(spec, machine, no_stages)
        after = await bench.driver.stored_bytes(spec.sandbox_id)
        assert after >= before + 8 * 1024 * 1024
    assert await bench.driver.stored_bytes(spec.sandbox_id) == 0


# What a restarted agent finds.


async def test_a_restarted_agent_finds_what_was_kept(bench: Bench) -> None:
    spec = new_spec()
    machine = await bench.start(spec)
    await write(machine, "/root/file", b"kept")
    snapshot_id = uuid4()
    await bench.driver.snapshot(spec, machine, snapshot_id, no_stages)
    await write(machine, "/root/file", b"later")
    template_id = uuid4()
    await bench.driver.snapshot(spec, machine, template_id, no_stages)
    await bench.driver.make_template(template_id, NewTemplate(template_id, "mine"), nothing)
    await bench.driver.drop_snapshot(template_id)
    await bench.restart()
    assert await bench.driver.has_snapshot(snapshot_id)
    assert not await bench.driver.has_snapshot(template_id)
    adopted = await bench.driver.adopt(spec, machine.incarnation, machine.process)
    assert adopted is not None
    assert await read(adopted, "/root/file") == b"later"
    async with started(bench, child_of(spec, snapshot_id)) as child, started(bench, of_template(template_id)) as other:
        assert await read(child, "/root/file") == b"kept"
        assert await read(other, "/root/file") == b"later"
    await bench.driver.remove(spec.sandbox_id)
    await bench.driver.drop_snapshot(snapshot_id)
    await bench.driver.remove_template(template_id)


async def test_garbage_is_what_nobody_knows(bench: Bench) -> None:
    async with (
        bench.sandbox() as (spec, machine),
        kept(bench, spec, machine) as snapshot_id,
        template(bench, spec, machine),
    ):
        known, snapshots = frozenset({spec.sandbox_id}), frozenset({snapshot_id})
        assert await bench.driver.garbage(await bench.driver.leftovers(), snapshots) == ()
        (found,) = await bench.driver.garbage(known, frozenset())
        assert str(snapshot_id) in found.path
        assert found.stored_bytes > 0
        assert found.reason
        # what runs is somebody's
        assert await bench.driver.garbage(frozenset(), snapshots) == ()
        await bench.driver.pause(spec, machine, no_stages)

        async def is_nobodys() -> bool:
            return await bench.driver.garbage(frozenset(), snapshots) != ()

        # the last process of its jail ends a moment after QEMU
        await eventually(is_nobodys)
        (found,) = await bench.driver.garbage(frozenset(), snapshots)
        assert str(spec.sandbox_id) in found.path
        assert found.stored_bytes > 0
        # nothing was touched
        resumed = await bench.driver.resume(spec, uuid4(), no_stages)
        await resumed.ping()
        assert await bench.driver.garbage(known, snapshots) == ()

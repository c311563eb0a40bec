"""Snapshots of real machines, forks and templates: nothing is lost of the parent, and each child is its own."""

import asyncio
import dataclasses
import os
import shutil
import signal
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from agent.drivers.driver import QUARANTINE, NewTemplate
from agent.drivers.qemu import QemuDriver, held, layers, manifests, saved
from agent.drivers.qemu.disks import blocks_of
from agent.drivers.qemu.machine import INHERITED, QemuMachine
from agent.drivers.qemu.monitor import MonitorError
from agent.errors import AgentError, Code
from agent.machine import Spec, TemplateType
from tests.agent.drivers.qemu.laboratory import (
    NO_STAGES,
    Laboratory,
    flipped_bit,
    new_spec,
    qemu_machine,
    resume,
    run,
    shell,
    start,
)
from tests.waiting import eventually

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]
FEW, MANY = 2, 100
COUNTER = "import os, time\nn = 0\nwhile True:\n  n += 1\n  open('/dev/shm/new', 'w').write(str(n))\n  "
COUNTER += "os.rename('/dev/shm/new', '/dev/shm/count')\n  time.sleep(0.02)\n"


def child_of(parent: Spec, snapshot_id: UUID) -> Spec:
    return dataclasses.replace(parent, sandbox_id=uuid4(), snapshot_id=snapshot_id)


def of_template(template_id: UUID) -> Spec:
    return dataclasses.replace(
        new_spec(), template_id=template_id, template_name="mine", template_type=TemplateType.SNAPSHOT
    )


async def snapshot(driver: QemuDriver, spec: Spec, machine: QemuMachine | None, children: int = 0) -> UUID:
    snapshot_id = uuid4()
    await driver.snapshot(spec, machine, snapshot_id, NO_STAGES, children)
    assert await driver.has_snapshot(snapshot_id)
    return snapshot_id


async def template(driver: QemuDriver, spec: Spec, machine: QemuMachine | None) -> UUID:
    snapshot_id = await snapshot(driver, spec, machine)
    told: list[int] = []
    made = await driver.make_template(snapshot_id, NewTemplate(snapshot_id, "mine"), told.append)
    assert (made.template_id, made.template_name) == (snapshot_id, "mine")
    assert told == sorted(told)
    assert told[-1] == 100
    await driver.drop_snapshot(snapshot_id)
    return snapshot_id


@pytest.mark.parametrize(("held_bytes_max", "children"), [(1 << 30, FEW), (1 << 20, MANY)])
async def test_forks_have_their_parents_memory_and_files_and_are_their_own(
    driver: QemuDriver, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, held_bytes_max: int, children: int
) -> None:
    monkeypatch.setattr(held, "bytes_max", lambda: held_bytes_max)
    spec = new_spec(COLOUR="green")
    parent = await start(driver, spec)
    await shell(parent, "echo of the parent > /root/file; head -c 1000000 /dev/urandom > /dev/shm/noise")
    await shell(parent, f'nohup python3 -c "{COUNTER}" >/dev/null 2>&1 &')
    await shell(parent, "while ! test -s /dev/shm/count; do sleep 0.05; done")
    noise = await run(parent, "sha256sum", "/dev/shm/noise")
    stages: list[str] = []
    snapshot_id = uuid4()
    await driver.snapshot(spec, parent, snapshot_id, stages.append, children)
    assert stages == ["stop", "save", "layer", "continue", "sync"]
    await shell(parent, "echo changed > /root/file")
    specs = [child_of(spec, snapshot_id) for _ in range(FEW)]
    machines = [await start(driver, one) for one in specs]
    # a copy of the template's RAM is made for many only; few have their parent's pages for themselves
    assert len(driver._snapshots._merged) == (children == MANY)
    inherited = [(laboratory.folder(one) / INHERITED).stat().st_size for one in specs]
    assert [size > 0 for size in inherited] == [children == MANY] * FEW
    await driver.drop_snapshot(snapshot_id)
    for one, child in zip(specs, machines, strict=True):
        assert await run(child, "cat", "/root/file") == "of the parent"
        assert await run(child, "sha256sum", "/dev/shm/noise") == noise
        assert str(one.sandbox_id) in await shell(child, "echo $NESTBOX_SANDBOX_ID")
        counted = await run(child, "cat", "/dev/shm/count")
        await shell(child, f"while test $(cat /dev/shm/count) -le {counted}; do sleep 0.05; done")
        await shell(child, f"echo of {one.sandbox_id} > /root/file; sync")
    assert await run(parent, "cat", "/root/file") == "changed"
    for one, child in zip(specs, machines, strict=True):
        assert await run(child, "cat", "/root/file") == f"of {one.sandbox_id}"
    names = {
        await run(machine, "cat", "/proc/sys/kernel/hostname", "/etc/machine-id") for machine in (parent, *machines)
    }
    assert len(names) == 3


@pytest.mark.parametrize("children", [1, MANY])
async def test_a_fork_of_a_fork_that_was_paused_has_the_whole_chain(
    driver: QemuDriver, laboratory: Laboratory, children: int
) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    for depth in range(3):
        await shell(machine, f"echo {depth} >> /root/file; echo {depth} > /dev/shm/file; sync")
        snapshot_id = await snapshot(driver, spec, machine, children)
        await shell(machine, "echo of the parent >> /root/file; sync")
        parent, spec = spec, child_of(spec, snapshot_id)
        machine = await start(driver, spec)
        await driver.remove(parent.sandbox_id)
        await driver.drop_snapshot(snapshot_id)
        await driver.pause(spec, machine, NO_STAGES)
        machine = await resume(driver, spec)
        assert await run(machine, "cat", "/dev/shm/file") == str(depth)
    assert await run(machine, "cat", "/root/file") == "0\n1\n2"
    assert len(layers.read(laboratory.folder(spec)).layers) == 3
    await driver.kill(machine)
    booted = qemu_machine(await driver.boot(spec, uuid4(), NO_STAGES))
    assert await run(booted, "cat", "/root/file") == "0\n1\n2"
    # a machine that booted cold is forked like any other
    snapshot_id = await snapshot(driver, spec, booted)
    child = await start(driver, child_of(spec, snapshot_id))
    assert await run(child, "cat", "/root/file") == "0\n1\n2"
    for sandbox_id in await driver.leftovers():
        await driver.remove(sandbox_id)
    await driver.drop_snapshot(snapshot_id)
    assert not list((laboratory.data_dir / "layers").iterdir())


async def test_a_template_of_a_running_sandbox(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    parent = await start(driver, spec)
    await shell(
        parent, "echo kept > /root/file; echo kept > /dev/shm/file; head -c 30000000 /dev/urandom > /root/big; sync"
    )
    template_id = await template(driver, spec, parent)
    folder = laboratory.settings.images_dir / f"template-{template_id.hex}"
    disk = folder / "disk"
    assert disk.stat().st_size == 5120 << 20
    used = await run(parent, "sh", "-c", "df -B1 / | awk 'END { print $3 }'")
    assert blocks_of(disk) < int(used) * 1.25 + (30 << 20)
    one = of_template(template_id)
    machine = await start(driver, one)
    assert await run(machine, "cat", "/root/file", "/dev/shm/file") == "kept\nkept"
    # it stands on nothing of its parent's
    await driver.remove(spec.sandbox_id)
    await driver.pause(one, machine, NO_STAGES)
    machine = await resume(driver, one)
    assert await run(machine, "cat", "/root/file", "/dev/shm/file") == "kept\nkept"
    with pytest.raises(AgentError) as refusal:
        await driver.remove_template(template_id)
    assert refusal.value.code is Code.TEMPLATE_IN_USE
    await driver.kill(machine)
    machine = qemu_machine(await driver.boot(one, uuid4(), NO_STAGES))
    assert await run(machine, "cat", "/root/file") == "kept"
    other = laboratory.second()
    await other.open()
    try:
        assert template_id in {image.template_id for image in (await other.facts()).images}
    finally:
        await other.close()
    await driver.remove(one.sandbox_id)
    await driver.remove_template(template_id)
    await driver.remove_template(template_id)
    assert not folder.exists()
    with pytest.raises(AgentError) as refusal:
        await start(driver, of_template(template_id))
    assert refusal.value.code is Code.UNKNOWN_TEMPLATE


async def test_a_template_of_a_paused_sandbox(driver: QemuDriver) -> None:
    spec = new_spec()
    parent = await start(driver, spec)
    await shell(parent, "echo kept > /root/file; echo kept > /dev/shm/file")
    await driver.pause(spec, parent, NO_STAGES)
    template_id = await template(driver, spec, None)
    assert await driver.is_paused(spec.sandbox_id)
    machine = await start(driver, of_template(template_id))
    assert await run(machine, "cat", "/root/file", "/dev/shm/file") == "kept\nkept"
    parent = await resume(driver, spec)
    assert await run(parent, "cat", "/root/file", "/dev/shm/file") == "kept\nkept"
    wrong = dataclasses.replace(of_template(template_id), memory_mb=1024)
    with pytest.raises(AgentError) as refusal:
        await start(driver, wrong)
    assert refusal.value.code is Code.UNSUPPORTED_SHAPE


@pytest.mark.parametrize("command", ["blockdev-add", "blockdev-snapshot", "xen-save-devices-state", "cont"])
async def test_a_snapshot_that_fails_leaves_the_machine_as_it_was(
    driver: QemuDriver, laboratory: Laboratory, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo kept > /root/file; echo kept > /dev/shm/file")
    monitor, failed = machine.running.monitor, False
    real = monitor.run

    async def fails_once(name: str, /, **arguments: object) -> object:
        nonlocal failed
        if name == command and not failed:
            failed = True
            raise MonitorError(f"{name}: refused by the test")
        return await real(name, **arguments)

    monkeypatch.setattr(monitor, "run", fails_once)
    snapshot_id = uuid4()
    with pytest.raises(AgentError) as refusal:
        await driver.snapshot(spec, machine, snapshot_id, NO_STAGES)
    assert refusal.value.code is Code.SNAPSHOT_FAILED
    assert not await driver.has_snapshot(snapshot_id)
    assert await run(machine, "cat", "/root/file", "/dev/shm/file") == "kept\nkept"
    await shell(machine, "echo more >> /root/file; sync")
    child = await start(driver, child_of(spec, await snapshot(driver, spec, machine)))
    assert await run(child, "cat", "/root/file", "/dev/shm/file") == "kept\nmore\nkept"
    await driver.pause(spec, machine, NO_STAGES)
    machine = await resume(driver, spec)
    assert await run(machine, "cat", "/root/file", "/dev/shm/file") == "kept\nmore\nkept"
    assert (laboratory.folder(spec) / layers.read(laboratory.folder(spec)).overlay).exists()


@pytest.mark.parametrize("stage", ["stop", "save", "layer", "continue"])
async def test_an_agent_that_is_gone_in_the_middle_of_a_snapshot_leaves_a_machine_that_goes_on(
    driver: QemuDriver, laboratory: Laboratory, stage: str
) -> None:
    """The first driver stands still for ever at a stage; a second one adopts, as after a kill."""
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo kept > /root/file; echo kept > /dev/shm/file")
    reached = asyncio.Event()

    def halt(name: str) -> None:
        if name == stage:
            reached.set()
            raise _Killed

    snapshot_id, process, incarnation = uuid4(), machine.process, machine.incarnation
    freezer = driver._freezer
    unfinished = freezer._begin(snapshot_id)
    frozen = await freezer._prepare(spec, machine)
    with pytest.raises(_Killed):
        await freezer._freeze(machine, unfinished, frozen, halt)
    assert reached.is_set()
    await driver.close()
    other = laboratory.second()
    await other.open()
    try:
        adopted = qemu_machine(await other.adopt(spec, incarnation, process) or machine)
        assert not await other.has_snapshot(snapshot_id)
        assert await run(adopted, "cat", "/root/file", "/dev/shm/file") == "kept\nkept"
        await shell(adopted, "echo more >> /root/file; sync")
        child = await start(other, child_of(spec, await snapshot(other, spec, adopted)))
        assert await run(child, "cat", "/root/file") == "kept\nmore"
        os.kill(adopted.process.pid, signal.SIGKILL)
        await adopted.died()
        booted = await other.boot(spec, uuid4(), NO_STAGES)
        assert await run(booted, "cat", "/root/file") == "kept\nmore"
    finally:
        for sandbox_id in await other.leftovers():
            await other.remove(sandbox_id)
        await other.close()


class _Killed(BaseException):
    pass


async def test_a_machine_that_is_gone_in_the_middle_of_a_snapshot_keeps_its_disk(driver: QemuDriver) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo kept > /root/file; sync")
    await driver._freezer._prepare(spec, machine)
    # whoever reads the note now finds the same disk, though QEMU knows nothing of the new overlay
    os.kill(machine.process.pid, signal.SIGKILL)
    await machine.died()
    await eventually(lambda: machine.running.released)
    booted = await driver.boot(spec, uuid4(), NO_STAGES)
    assert await run(booted, "cat", "/root/file") == "kept"


async def test_a_damaged_snapshot_is_refused(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    snapshot_id = await snapshot(driver, spec, machine)
    folder: Path = laboratory.data_dir / "snapshots" / str(snapshot_id)
    for name in ("memory", "state", "manifest.json"):
        driver._snapshots._loaded.clear()
        with flipped_bit(folder / name), pytest.raises(AgentError) as refusal:
            await start(driver, child_of(spec, snapshot_id))
        assert refusal.value.code is Code.UNKNOWN_SNAPSHOT
    driver._snapshots._loaded.clear()
    await start(driver, child_of(spec, snapshot_id))
    with pytest.raises(AgentError) as refusal:
        await start(driver, child_of(spec, uuid4()))
    assert refusal.value.code is Code.UNKNOWN_SNAPSHOT


async def test_a_fork_without_its_note_is_neither_paused_nor_resumed_and_loses_nothing(
    driver: QemuDriver, laboratory: Laboratory
) -> None:
    parent = new_spec()
    machine = await start(driver, parent)
    await shell(machine, "echo kept > /root/file; sync")
    snapshot_id = await snapshot(driver, parent, machine)
    assert driver._snapshots.manifest(snapshot_id).image_sha256 == machine.image.manifest.sha256
    spec = child_of(parent, snapshot_id)
    child = await start(driver, spec)
    await driver.remove(parent.sandbox_id)
    note = laboratory.folder(spec) / layers.NOTE
    aside = note.rename(note.with_name("aside"))
    with pytest.raises(AgentError) as refusal:
        await driver.pause(spec, child, NO_STAGES)
    assert refusal.value.code is Code.PAUSE_FAILED
    assert await run(child, "cat", "/root/file") == "kept"
    aside.rename(note)
    await driver.pause(spec, child, NO_STAGES)
    [pause] = saved.pauses(laboratory.folder(spec))
    known = manifests.read_pause(pause)
    assert known.image_sha256 == child.image.manifest.sha256
    assert layers.read(laboratory.folder(spec)) == layers.Chain(known.overlay, known.layers)
    note.rename(aside)
    await driver.drop_snapshot(snapshot_id)
    with pytest.raises(AgentError) as refusal:
        await resume(driver, spec)
    assert refusal.value.code is Code.IMAGE_MISMATCH
    aside.rename(note)
    assert await run(await resume(driver, spec), "cat", "/root/file") == "kept"


@pytest.mark.parametrize("aside", ["sandbox", "snapshot"])
async def test_what_was_put_aside_keeps_what_it_stands_on(
    driver: QemuDriver, laboratory: Laboratory, aside: str
) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo kept > /root/file; sync")
    snapshot_id = await snapshot(driver, spec, machine)
    image_id = machine.image.manifest.content_id
    await driver.kill(machine)
    child = child_of(spec, snapshot_id)
    quarantine = laboratory.data_dir / QUARANTINE
    quarantine.mkdir()
    try:
        if aside == "sandbox":
            thing, other = laboratory.folder(spec), driver.drop_snapshot(snapshot_id)
        else:
            thing, other = laboratory.data_dir / "snapshots" / str(snapshot_id), driver.remove(spec.sandbox_id)
        moved = thing.rename(quarantine / f"{thing.name}.0f0f0f0f")
        await other
        assert list((laboratory.data_dir / "layers").iterdir())
        assert driver._standing.look().images == {image_id}
        moved.rename(thing)
        back = await driver.boot(spec, uuid4(), NO_STAGES) if aside == "sandbox" else await start(driver, child)
        assert await run(back, "cat", "/root/file") == "kept"
        thing = thing.rename(quarantine / f"{thing.name}.1f1f1f1f") if aside == "snapshot" else thing
    finally:
        shutil.rmtree(quarantine)
    await driver.remove(spec.sandbox_id)
    await driver.remove(child.sandbox_id)
    assert not list((laboratory.data_dir / "layers").iterdir())

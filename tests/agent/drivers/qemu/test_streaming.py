"""However often a sandbox is snapshotted, its disk lies in few layers, and nothing of it is lost."""

import os
import signal
from uuid import uuid4

import pytest

from agent.drivers.qemu import QemuDriver, freezing, layers, streaming
from agent.drivers.qemu.arguments import DISK_NODE, IMAGE_NODE
from agent.drivers.qemu.growth import top_node
from agent.drivers.qemu.layers import LAYERS_MAX
from agent.drivers.qemu.machine import QemuMachine
from agent.errors import AgentError, Code
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
from tests.agent.drivers.qemu.test_snapshots import child_of, snapshot
from tests.waiting import eventually

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]
LIST = "cat /root/file*"


def lines(count: int) -> str:
    return "\n".join(str(number) for number in range(count))


async def test_many_snapshots_leave_few_layers_and_each_is_what_was(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    parent = await start(driver, spec)
    kept = []
    for number in range(2 * LAYERS_MAX + 4):
        await shell(parent, f"echo {number} > /root/file{number:02}; sync")
        kept.append(await snapshot(driver, spec, parent))
        assert len(layers.read(laboratory.folder(spec)).layers) <= LAYERS_MAX
    # overlays of long ago are closed
    nodes = await parent.running.monitor.run("query-named-block-nodes", flat=True)
    assert DISK_NODE not in {node["node-name"] for node in nodes}
    for number in (0, LAYERS_MAX - 1, LAYERS_MAX, 2 * LAYERS_MAX + 1):
        child = child_of(spec, kept[number])
        assert await shell(await start(driver, child), LIST) == lines(number + 1)
        await driver.remove(child.sandbox_id)
    await shell(parent, "rm /root/file00; fstrim / || true; sync")
    assert await shell(parent, LIST) == lines(len(kept)).removeprefix("0\n")
    await driver.pause(spec, parent, NO_STAGES)
    assert await shell(await resume(driver, spec), LIST) == lines(len(kept)).removeprefix("0\n")
    for snapshot_id in kept:
        await driver.drop_snapshot(snapshot_id)
    assert len(list((laboratory.data_dir / "layers").iterdir())) <= LAYERS_MAX
    await driver.remove(spec.sandbox_id)
    assert not list((laboratory.data_dir / "layers").iterdir())


async def begin_slowly(machine: QemuMachine) -> None:
    """As `bring_together` does, but at a MiB a second."""
    node = await top_node(machine)
    await machine.running.monitor.run(
        "block-stream", job_id=streaming._JOB, device=node, base_node=IMAGE_NODE, auto_dismiss=False, speed=1 << 20
    )


async def test_an_agent_that_is_gone_meanwhile_is_followed_by_one_that_goes_on(
    driver: QemuDriver, laboratory: Laboratory
) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo 0 > /root/file0; head -c 30000000 /dev/urandom > /root/big; sync")
    digest = await run(machine, "sha256sum", "/root/big")
    await driver.drop_snapshot(await snapshot(driver, spec, machine))
    await begin_slowly(machine)
    await shell(machine, "echo 1 > /root/file1; sync")
    process, incarnation = machine.process, machine.incarnation
    await driver.close()
    other = laboratory.second()
    await other.open()
    try:
        adopted = qemu_machine(await other.adopt(spec, incarnation, process) or machine)
        assert await adopted.running.monitor.run("query-jobs") == []
        assert len(layers.read(laboratory.folder(spec)).layers) == 1
        await streaming.bring_together(adopted, 60)
        assert layers.read(laboratory.folder(spec)).layers == ()
        [layer] = (laboratory.data_dir / "layers").iterdir()
        await other._snapshots.let_go([layer.name], adopted.image.manifest.content_id)
        assert not layer.exists()
        await other.pause(spec, adopted, NO_STAGES)
        resumed = await resume(other, spec)
        assert await shell(resumed, "cat /root/file?") == lines(2)
        assert await run(resumed, "sha256sum", "/root/big") == digest
    finally:
        await other.remove(spec.sandbox_id)
        await other.close()


async def test_a_machine_that_is_gone_meanwhile_keeps_its_disk(driver: QemuDriver) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo 0 > /root/file0; head -c 30000000 /dev/urandom > /root/big; sync")
    digest = await run(machine, "sha256sum", "/root/big")
    await snapshot(driver, spec, machine)
    await begin_slowly(machine)
    await shell(machine, "echo 1 > /root/file1; sync")
    os.kill(machine.process.pid, signal.SIGKILL)
    await machine.died()
    await eventually(lambda: machine.running.released)
    booted = await driver.boot(spec, uuid4(), NO_STAGES)
    assert await shell(booted, "cat /root/file?") == lines(2)
    assert await run(booted, "sha256sum", "/root/big") == digest


async def test_where_they_cannot_be_brought_together_there_is_a_last_one(
    driver: QemuDriver, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(freezing, "bring_together", refuse)
    monkeypatch.setattr(freezing, "LAYERS_MAX", 1)
    monkeypatch.setattr(freezing, "LAYERS_MOST", 2)
    spec = new_spec()
    machine = await start(driver, spec)
    for _ in range(2):
        await snapshot(driver, spec, machine)
    with pytest.raises(AgentError) as refused:
        await snapshot(driver, spec, machine)
    assert refused.value.code is Code.SNAPSHOT_FAILED
    assert await run(machine, "echo", "goes on") == "goes on"
    await driver.pause(spec, machine, NO_STAGES)
    with pytest.raises(AgentError) as refused:
        await driver.snapshot(spec, None, uuid4(), NO_STAGES)
    assert "resume it" in refused.value.message
    assert len(layers.read(laboratory.folder(spec)).layers) == 2

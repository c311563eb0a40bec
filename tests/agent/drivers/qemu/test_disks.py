"""Disks: their size is the sandbox's, not the template's, and the host keeps only what is used of them."""

import asyncio
import dataclasses
import json
import subprocess
import uuid
from pathlib import Path

import pytest

from agent.drivers.driver import LiveMachine
from agent.drivers.qemu import QemuDriver, clones, disks
from agent.drivers.qemu.growth import grow
from agent.drivers.qemu.saved import STATE_BYTES_MAX
from tests.agent.drivers.qemu.laboratory import NO_STAGES, Laboratory, new_spec, resume, run, shell, start
from tests.waiting import eventually

LARGER_MB = 12 * 1024
METADATA_MB_MAX = 300  # what a file system of a few GiB keeps for itself
WRITTEN_MB = 100


async def _qemu_img(*arguments: str) -> dict[str, object]:
    process = await asyncio.create_subprocess_exec("qemu-img", *arguments, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0
    found = json.loads(printed)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("size_mb", [1, 512, 513, 5120, 100_000, 16 << 20])
async def test_qemu_takes_an_overlay_for_what_it_is(tmp_path: Path, size_mb: int) -> None:
    path = tmp_path / "overlay.qcow2"
    disks.make_overlay(path, size_mb)
    facts = await _qemu_img("info", "--output=json", str(path))
    assert (facts["format"], facts["virtual-size"]) == ("qcow2", size_mb << 20)
    assert "backing-filename" not in facts
    found = await _qemu_img("check", "--output=json", "-f", "qcow2", str(path))
    assert found["check-errors"] == 0
    assert found.get("leaks", 0) == found.get("corruptions", 0) == 0
    assert path.stat().st_blocks * 512 <= 64 * 1024


def test_a_full_overlay_is_within_what_it_may_have(tmp_path: Path) -> None:
    path, size_mb = tmp_path / "overlay.qcow2", 128
    disks.make_overlay(path, size_mb)
    clusters = size_mb * 16
    words = [f"write -q {number * 64}k 64k" for number in (*range(0, clusters, 2), *range(1, clusters, 2))]
    # Every second pair is freed and written again at once: nowhere are two free ones beside each other.
    words += [f"discard -q {number * 64}k 128k" for number in range(0, clusters, 4)]
    words += [f"write -q {number * 64}k 128k" for number in range(0, clusters, 4)]
    command = ("qemu-io", "-d", "unmap", "-f", "qcow2", str(path))
    subprocess.run(command, input="\n".join(words), text=True, check=True, stdout=subprocess.DEVNULL)
    assert size_mb << 20 < disks.blocks_of(path) < 1.1 * (size_mb << 20)
    assert 1.4 * (size_mb << 20) < path.stat().st_size < disks.overlay_bytes_max(size_mb)


@pytest.mark.parametrize("size_mb", [1, 5120, 4 << 20])
def test_there_is_room_for_all_tables_and_device_state(size_mb: int) -> None:
    # as `qemu-img measure` reckons what a full one has
    words = ("qemu-img", "measure", "--output=json", "-O", "qcow2", f"--size={size_mb}M")
    measured = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)["fully-allocated"]
    assert STATE_BYTES_MAX < measured + STATE_BYTES_MAX < disks.overlay_bytes_max(size_mb)
    assert disks.overlay_bytes_max(size_mb) < (disks.SCATTERED + 0.01) * (size_mb << 20) + (65 << 20)


def test_an_overlay_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "overlay.qcow2"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        disks.make_overlay(path, 1)
    assert path.read_text() == "mine"


async def _disk_mb(machine: LiveMachine) -> int:
    return int(await shell(machine, "df -m --output=size / | tail -1"))


@pytest.mark.vm
async def test_a_larger_disk_is_seen_and_stays(driver: QemuDriver) -> None:
    spec = dataclasses.replace(new_spec(), disk_size_mb=LARGER_MB)
    machine = await start(driver, spec)
    assert LARGER_MB - METADATA_MB_MAX < await _disk_mb(machine) <= LARGER_MB
    # Farther than the template's disk reaches, and back.
    await shell(machine, "fallocate -l 8G /root/large && echo end | dd of=/root/large bs=1 seek=8G conv=notrunc 2>&1")
    await grow(machine, LARGER_MB, 0, 20)  # again: nothing to do
    await driver.pause(spec, machine, NO_STAGES)
    resumed = await resume(driver, spec)
    assert LARGER_MB - METADATA_MB_MAX < await _disk_mb(resumed) <= LARGER_MB
    assert await run(resumed, "tail", "-c", "4", "/root/large") == "end"
    await run(resumed, "sync")
    await driver.kill(resumed)
    booted = await driver.boot(spec, uuid.uuid4(), NO_STAGES)
    assert LARGER_MB - METADATA_MB_MAX < await _disk_mb(booted) <= LARGER_MB
    assert await run(booted, "tail", "-c", "4", "/root/large") == "end"


@pytest.mark.vm
async def test_a_growth_that_was_cut_off_is_made_up_for(
    driver: QemuDriver, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(*_: object) -> None:
        pass

    monkeypatch.setattr(clones, "grow", cut_off)
    spec = dataclasses.replace(new_spec(), disk_size_mb=LARGER_MB)
    machine = await start(driver, spec)
    assert await _disk_mb(machine) < LARGER_MB - METADATA_MB_MAX
    await driver.close()
    async with laboratory.next_life() as other:
        adopted = await other.adopt(spec, machine.incarnation, machine.process)
        assert adopted is not None
        assert LARGER_MB - METADATA_MB_MAX < await _disk_mb(adopted) <= LARGER_MB


@pytest.mark.vm
async def test_freed_blocks_go_back_to_the_host(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    overlay = laboratory.folder(spec) / disks.OVERLAY

    def stored_mb() -> int:
        return overlay.stat().st_blocks * 512 >> 20

    await shell(machine, f"head -c {WRITTEN_MB}M /dev/urandom > /root/noise && sync")
    assert stored_mb() >= WRITTEN_MB
    await shell(machine, "rm /root/noise && sync")
    await eventually(lambda: stored_mb() < WRITTEN_MB / 5)

"""Whether KVM works is found out by a guest, with a deadline."""

import os
import shutil
import time
from pathlib import Path

import pytest

from agent.drivers.qemu import accelerator
from agent.drivers.qemu.accelerator import Verdict


def qemu() -> Path:
    """The program."""
    found = shutil.which("qemu-system-x86_64")
    assert found is not None
    return Path(found)


def program(folder: Path, body: str) -> Path:
    """A stand-in for QEMU."""
    path = folder / "qemu"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


async def test_a_working_accelerator_is_recognised() -> None:
    assert await accelerator.run_guest(qemu(), "tcg", deadline_seconds=20) == ""


async def test_a_guest_that_hangs_is_no_proof_and_is_ended(tmp_path: Path) -> None:
    hanging = program(tmp_path, f"echo $$ > {tmp_path}/pid; exec tail -f /dev/null")
    assert "hung" in await accelerator.run_guest(hanging, "kvm", deadline_seconds=0.3)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


async def test_a_qemu_that_ends_is_no_proof(tmp_path: Path) -> None:
    refusing = program(tmp_path, "echo could not access KVM >&2; exit 1")
    assert "could not access KVM" in await accelerator.run_guest(refusing, "kvm")


async def test_the_verdict_comes_soon_and_is_remembered(tmp_path: Path) -> None:
    started = time.monotonic()
    verdict = await accelerator.choose(qemu(), "7.2.0", tmp_path)
    assert time.monotonic() - started < accelerator.DEADLINE_SECONDS + 5
    assert verdict.accelerator == "kvm" or verdict.reason
    # A program that cannot run shows that it was not asked again; another version of QEMU is.
    broken = program(tmp_path, "exit 1")
    assert await accelerator.choose(broken, "7.2.0", tmp_path) == verdict
    assert (await accelerator.choose(broken, "9.0.0", tmp_path)).accelerator == "tcg"


async def test_a_device_that_machines_may_not_open_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, tried = tmp_path / "kvm", tmp_path / "tried"
    device.touch()
    monkeypatch.setattr(accelerator, "KVM", device)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    good = program(tmp_path, f"touch {tried}; exit {accelerator._PROOF}")
    for mode, expected in {0o600: "tcg", 0o640: "tcg", 0o660: "kvm", 0o606: "kvm", 0o666: "kvm"}.items():
        device.chmod(mode)
        verdict = await accelerator.probe(good)
        assert verdict.accelerator == expected
        assert ("chgrp kvm" in verdict.reason) == (expected == "tcg")
        assert tried.exists() == (expected == "kvm")
        tried.unlink(missing_ok=True)


async def test_a_damaged_memory_of_it_is_ignored(tmp_path: Path) -> None:
    (tmp_path / accelerator.FILE).write_text("[]")
    assert isinstance(await accelerator.choose(qemu(), "7.2.0", tmp_path), Verdict)

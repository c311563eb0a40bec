import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nestbox.demo.processes import machine_processes, qemu_pid, usage

SANDBOX_ID = "sb-01234567-89ab-7cde-8f01-23456789abcd"


def test_a_machine_is_known_by_its_program_and_the_id_among_its_arguments(tmp_path: Path) -> None:
    program = tmp_path / "qemu-system-none"
    program.symlink_to(sys.executable)
    wait = "import sys; sys.stdin.read()"
    disk = f"file.filename=/machines/{SANDBOX_ID.removeprefix('sb-')}/overlay.qcow2,x=y"
    with (
        subprocess.Popen([program, "-c", wait, disk], stdin=subprocess.PIPE) as machine,
        subprocess.Popen([sys.executable, "-c", wait, disk], stdin=subprocess.PIPE),
        subprocess.Popen([program, "-c", wait, "another"], stdin=subprocess.PIPE),
    ):
        found = machine_processes(SANDBOX_ID)

        assert found == {machine.pid: "qemu-system-none"}
        assert qemu_pid(found) == machine.pid
    assert machine_processes(SANDBOX_ID) == {}


def test_a_machine_from_the_pool_is_known_by_its_record(tmp_path: Path) -> None:
    program = tmp_path / "qemu-system-none"
    program.symlink_to(sys.executable)
    record = tmp_path / "machines" / SANDBOX_ID.removeprefix("sb-") / "process.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"group": "clone-1"}))
    wait = "import sys; sys.stdin.read()"
    disks = [f"file.filename={tmp_path}/pool/clone-{number}/overlay.qcow2,x=y" for number in (1, 2)]
    with (
        subprocess.Popen([program, "-c", wait, disks[0]], stdin=subprocess.PIPE) as machine,
        subprocess.Popen([program, "-c", wait, disks[1]], stdin=subprocess.PIPE),
    ):
        assert machine_processes(SANDBOX_ID) == {machine.pid: "qemu-system-none"}


def test_no_qemu_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(LookupError):
        qemu_pid({1: "bwrap"})


def test_a_process_that_ended_uses_nothing() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    own, both = usage([os.getpid()]), usage([os.getpid(), ended.pid])
    assert own.pss_bytes > 0
    assert both.cpu_seconds >= own.cpu_seconds
    assert usage([ended.pid]).pss_bytes == 0

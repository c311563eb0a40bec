"""Limits as files, on a made-up file system: what a kernel makes of them, the tests with real machines show."""

from pathlib import Path

import pytest

from agent.drivers.qemu.cgroups import CPU_PERIOD_US, PIDS_BESIDE_VCPUS, QEMU_OVERHEAD_MB, Limits, find_groups

LIMITS = Limits(memory_mb=512, vcpus=1)
ALL = "memory cpu pids io"


def process_in(tmp_path: Path, lines: str) -> Path:
    """A /proc/PID with only its control groups."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cgroup").write_text(lines)
    return tmp_path / "proc"


def group_v2(folder: Path, *, delegated: str = ALL, enabled: str = ALL) -> None:
    """A group of version 2."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.controllers").write_text(delegated)
    (folder / "cgroup.subtree_control").write_text(enabled)


def test_version_1_has_a_folder_in_each_hierarchy(tmp_path: Path) -> None:
    process = process_in(tmp_path, "4:memory:/box\n2:cpu,cpuacct:/\n1:pids:/\n0::/\n")
    root = tmp_path / "root"
    for folder in ("memory/box", "cpu", "pids"):
        (root / folder).mkdir(parents=True)
    groups = find_groups("nestbox-1", root, process)
    assert (groups.version, groups.shortcomings) == (1, [])
    group = groups.make("m1", LIMITS)
    memory = root / "memory/box/nestbox-1/m1"
    assert set(group.folders) == {memory, root / "cpu/nestbox-1/m1", root / "pids/nestbox-1/m1"}
    assert int((memory / "memory.limit_in_bytes").read_text()) == (2 * 512 + QEMU_OVERHEAD_MB) << 20
    assert (root / "cpu/nestbox-1/m1/cpu.cfs_quota_us").read_text() == str(CPU_PERIOD_US * 3 // 2)
    assert (root / "pids/nestbox-1/m1/pids.max").read_text() == str(PIDS_BESIDE_VCPUS + LIMITS.vcpus)
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert group.out_of_memory_kills() == 1


def test_who_is_made_in_the_background_weighs_little_until_it_comes_forward(tmp_path: Path) -> None:
    process = process_in(tmp_path, "4:memory:/\n2:cpu:/\n1:pids:/\n0::/\n")
    root = tmp_path / "root"
    for folder in ("memory", "cpu", "pids"):
        (root / folder).mkdir(parents=True)
    groups = find_groups("nestbox-1", root, process)
    together = root / "cpu/nestbox-1/cpu.shares"
    clone = groups.make("clone", Limits(512, 1, in_background=True))
    assert ((together.parent / "clone/cpu.shares").read_text(), together.read_text()) == ("102", "102")
    groups.make("m1", LIMITS)
    assert together.read_text() == "1024"
    clone.come_forward()
    assert ((together.parent / "clone/cpu.shares").read_text(), together.read_text()) == ("1024", "2048")


def test_version_2_has_one_folder(tmp_path: Path) -> None:
    process = process_in(tmp_path, "0::/service\n")
    root = tmp_path / "root"
    group_v2(root)
    group_v2(root / "service")
    group_v2(root / "service/nestbox-1")
    groups = find_groups("nestbox-1", root, process)
    assert (groups.version, groups.shortcomings) == (2, [])
    group = groups.make("m1", LIMITS)
    assert group.folders == (root / "service/nestbox-1/m1",)
    assert (group.folders[0] / "cpu.max").read_text() == f"{CPU_PERIOD_US * 3 // 2} {CPU_PERIOD_US}"
    assert (group.folders[0] / "memory.swap.max").read_text() == "0"
    (group.folders[0] / "memory.events").write_text("low 0\noom 2\noom_kill 2\n")
    assert group.out_of_memory_kills() == 2


def test_what_cannot_be_given_is_said(tmp_path: Path) -> None:
    process = process_in(tmp_path, "4:memory:/\n0::/\n")
    root = tmp_path / "root"
    (root / "memory").mkdir(parents=True)
    groups = find_groups("nestbox-1", root, process)
    assert set(groups.parents) == {"memory"}
    assert [sentence.split(":")[0] for sentence in groups.shortcomings] == [
        "Machines have no limit on cpu",
        "Machines have no limit on pids",
    ]


def test_without_delegation_there_are_no_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = process_in(tmp_path, "0::/session\n")
    root = tmp_path / "root"
    group_v2(root)
    group_v2(root / "session", delegated="memory", enabled="")
    monkeypatch.setattr("agent.drivers.qemu.cgroups.os.geteuid", lambda: 1000)
    groups = find_groups("nestbox-1", root, process)
    assert not groups.parents
    assert len(groups.shortcomings) == 3
    assert "Delegate=yes" in groups.shortcomings[0]

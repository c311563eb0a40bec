"""What stands between a QEMU and the host, read from /proc of one that runs."""

import dataclasses
import os
import resource
import signal
from pathlib import Path

import pytest

from agent.drivers.qemu import QemuDriver, launch
from agent.drivers.qemu.disks import bound, overlay_bytes_max
from agent.drivers.qemu.growth import grow
from agent.drivers.qemu.machine import QemuMachine
from agent.errors import AgentError
from tests.agent.drivers.qemu.laboratory import Laboratory, new_spec, qemu_machine, run, shell, start

pytestmark = pytest.mark.vm
# random bytes past all that the file system of a new guest has
NOISE = "dd if=/dev/urandom of=/dev/vda bs=1M seek=4000 count=30 oflag=direct 2>&1"
# of a machine with one processor and 512 MiB, by version of the control groups
MEMORY_BYTES = (2 * 512 + 192) << 20
HELD = {
    1: {
        "memory.limit_in_bytes": str(MEMORY_BYTES),
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "150000",
        "cpu.shares": "1024",
        "pids.max": "81",
    },
    2: {
        "memory.max": str(MEMORY_BYTES),
        "memory.swap.max": "0",
        "cpu.max": "150000 100000",
        "cpu.weight": "100",
        "pids.max": "81",
    },
}
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


def status_of(machine: QemuMachine) -> dict[str, str]:
    """The lines of /proc/PID/status."""
    lines = Path(f"/proc/{machine.process.pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def limit_of(machine: QemuMachine, name: str) -> list[str]:
    """The soft and the hard one."""
    lines = Path(f"/proc/{machine.process.pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith(name)).removeprefix(name).split()[:2]


async def test_a_machine_is_jailed(driver: QemuDriver, laboratory: Laboratory) -> None:
    machine = await start(driver, new_spec())
    proc = Path(f"/proc/{machine.process.pid}")
    status = status_of(machine)
    settings = laboratory.settings
    uids = {int(uid) for uid in status["Uid"].split()}
    assert uids <= set(range(settings.first_uid, settings.first_uid + settings.uid_count))
    assert len(uids) == 1
    assert status["Uid"] == status["Gid"]
    assert status["Groups"].strip() in {"", *status["Gid"].split()}
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    for namespace in NAMESPACES:
        assert (proc / "ns" / namespace).readlink() != Path("/proc/self/ns", namespace).readlink(), namespace
    assert status["NSpid"].split()[-1] == "1"
    assert limit_of(machine, "Max core file size") == ["0", "0"]
    assert limit_of(machine, "Max file size") == [str(overlay_bytes_max(5120))] * 2
    # beyond it there is an error, not the end of QEMU
    assert int(status["SigIgn"], 16) & 1 << signal.SIGXFSZ - 1


async def test_a_machine_sees_next_to_nothing(driver: QemuDriver, laboratory: Laboratory) -> None:
    spec = new_spec()
    machine = await start(driver, spec)
    other = new_spec()
    await start(driver, other)
    view = Path(f"/proc/{machine.process.pid}/root")
    assert sorted(path.name for path in view.iterdir()) == ["dev", "lib", "lib64", "proc", "usr", "var"]
    assert not (view / "usr/bin/sh").exists()
    machines = view / str(laboratory.settings.machines_dir).lstrip("/")
    assert [path.name for path in machines.iterdir()] == [str(spec.sandbox_id)]
    assert [path.name for path in (machines / str(spec.sandbox_id)).iterdir()] == ["overlay.qcow2"]


async def test_only_the_overlay_can_be_written(driver: QemuDriver) -> None:
    machine = await start(driver, new_spec())
    lines = Path(f"/proc/{machine.process.pid}/mountinfo").read_text().splitlines()
    writable = []
    for line in lines:
        mount_point, options = line.split()[4:6]
        kind = line.split(" - ")[1].split()[0]
        if "rw" in options.split(",") and kind not in {"proc", "devpts", "devtmpfs", "mqueue"}:
            writable.append(mount_point)
    assert [point for point in writable if not point.startswith("/dev/")] == [str(machine.folder / "overlay.qcow2")]


async def test_machines_have_different_users_and_give_them_back(driver: QemuDriver) -> None:
    first, second = new_spec(), new_spec()
    machines = [await start(driver, first), await start(driver, second)]
    users = [status_of(machine)["Uid"].split()[0] for machine in machines]
    assert users[0] != users[1]
    await driver.kill(machines[0])
    third = await start(driver, new_spec())
    assert status_of(third)["Uid"].split()[0] == users[0]
    assert (machines[0].folder / "overlay.qcow2").stat().st_uid == 0


async def test_a_machine_has_limits(driver: QemuDriver) -> None:
    machine = await start(driver, new_spec())
    group = machine.running.group
    if group is None:
        assert any("no limit on memory" in sentence for sentence in (await driver.facts()).shortcomings)
        return
    for folder in group.folders:
        assert str(machine.process.pid) in (folder / "cgroup.procs").read_text().split()
    groups = driver._ready.groups
    for file, value in HELD[groups.version].items():
        controller = file.partition(".")[0]
        if controller in groups.parents:
            assert (groups.parents[controller] / group.folders[0].name / file).read_text().strip() == value, file
        else:
            assert any(f"no limit on {controller}" in said for said in (await driver.facts()).shortcomings)
    await driver.kill(machine)
    assert not any(folder.exists() for folder in group.folders)


async def test_a_machine_holds_no_descriptor_but_its_own(driver: QemuDriver) -> None:
    await start(driver, new_spec())
    machine = await start(driver, new_spec())  # beside another, whose descriptors it could inherit
    proc = Path(f"/proc/{machine.process.pid}")
    links = {entry: str(entry.readlink()) for entry in (proc / "fd").iterdir()}
    assert not [link for link in links.values() if link.startswith("pipe:")]
    files = {entry: link for entry, link in links.items() if link.startswith("/") and not link.startswith("/memfd:")}
    overlay = str(machine.folder / "overlay.qcow2")
    writable = {link for entry, link in files.items() if _mode(proc, entry) & os.O_ACCMODE != os.O_RDONLY}
    assert writable <= {"/dev/null", "/dev/kvm", overlay}
    for link in set(files.values()) - {"/dev/null", "/dev/kvm", overlay}:
        assert Path(link).name in {"disk", "disk.qcow2", "state"}, links
    memory = {(entry.stat().st_ino, link.split()[0]) for entry, link in links.items() if link.startswith("/memfd:")}
    # Its image's sealed RAM, given and opened again by that, which clones share; and its last words.
    assert sorted(name for _, name in memory) == ["/memfd:guest-ram", "/memfd:stderr"]
    # listening and accepted, for the control connection and for the guest's
    assert sum(link.startswith("socket:") for link in links.values()) <= 4, links


def _mode(proc: Path, entry: Path) -> int:
    lines = (proc / "fdinfo" / entry.name).read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("flags:")), 8)


async def test_no_file_becomes_larger_than_its_limit_and_a_machine_that_tries_goes_on(
    driver: QemuDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_max = 24 << 20
    monkeypatch.setattr(launch, "overlay_bytes_max", lambda _: size_max)
    machine = await start(driver, new_spec())
    overlay = machine.folder / "overlay.qcow2"
    assert "Input/output error" in await shell(machine, f"{NOISE}; true")
    assert size_max / 2 < overlay.stat().st_size <= size_max
    assert machine.running.process.running
    assert await run(machine, "echo", "goes on") == "goes on"
    # without it there was nothing to complain of
    monkeypatch.undo()
    assert "31457280 bytes" in await shell(await start(driver, new_spec()), NOISE)


async def test_the_limit_follows_the_size_of_the_disk(driver: QemuDriver, laboratory: Laboratory) -> None:
    larger = dataclasses.replace(new_spec(), disk_size_mb=12_288)
    machine = await start(driver, larger)
    assert limit_of(machine, "Max file size") == [str(overlay_bytes_max(12_288))] * 2
    told = any("cannot be raised" in sentence for sentence in (await driver.facts()).shortcomings)
    assert told is not driver._ready.raises_limits
    if not driver._ready.raises_limits:
        with pytest.raises(PermissionError):
            bound(machine.process.pid, 20_480)
        return
    bound(machine.process.pid, 20_480)
    assert limit_of(machine, "Max file size") == [str(overlay_bytes_max(20_480))] * 2
    # as an agent from before there was a limit left it
    resource.prlimit(machine.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await driver.close()
    async with laboratory.next_life() as other:
        adopted = qemu_machine(await other.adopt(larger, machine.incarnation, machine.process) or machine)
        assert adopted is not machine
        assert limit_of(adopted, "Max file size") == [str(overlay_bytes_max(12_288))] * 2


async def test_memory_is_no_file_that_is_limited(driver: QemuDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "overlay_bytes_max", lambda _: 64 << 20)
    # a template that boots, whose memory is shared with its file, and a clone of it
    machine = await start(driver, dataclasses.replace(new_spec(), memory_mb=576))
    assert limit_of(machine, "Max file size") == [str(64 << 20)] * 2
    assert await shell(machine, "head -c 200M /dev/zero | tr '\\0' x > /dev/shm/much; wc -c < /dev/shm/much") == str(
        200 << 20
    )
    await driver.kill(machine)
    driver._store.remove(machine.image.manifest.content_id)


async def test_a_clone_that_may_not_have_a_larger_file_says_so(
    driver: QemuDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where limits cannot be raised: `Driver.start` takes an ordinary clone then."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    machine = await start(driver, new_spec())
    monkeypatch.setattr(resource, "prlimit", refuse)
    with pytest.raises(AgentError, match="larger"):
        await grow(machine, 6144, 5120, 20)
    assert await run(machine, "echo", "goes on") == "goes on"

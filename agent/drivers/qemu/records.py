"""What a machine's folder says about its process, so that one of which the ledger never heard is found and ended."""

import contextlib
import json
import os
import select
import signal
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from agent.drivers.driver import ProcessIdentity
from agent.drivers.qemu import manifests
from agent.drivers.qemu.manifests import ManifestError
from agent.drivers.qemu.spawn import start_ticks

FILE = "process.json"
END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Record:
    """Which QEMU was started last in a folder, and for which run of the sandbox."""

    incarnation: str
    image_id: str
    pid: int
    start_ticks: int
    boot_id: str
    ram_base: str = "image"
    group: str = ""
    """The control group, where that bears another name than the incarnation."""
    image_sha256: str = ""
    """As `ImageManifest.sha256`; empty in records of before it was kept, and of a template that boots."""

    @property
    def group_name(self) -> str:
        """What its control group is called."""
        return self.group or self.incarnation

    @property
    def identity(self) -> ProcessIdentity:
        """As the ledger would keep it."""
        return ProcessIdentity(self.pid, self.start_ticks)


def write(
    folder: Path, incarnation: str, image_id: str, image_sha256: str, ram_base: str, identity: ProcessIdentity
) -> None:
    """Raises: OSError."""
    process = (identity.pid, identity.start_ticks, boot_id())
    _write(folder, Record(incarnation, image_id, *process, ram_base, image_sha256=image_sha256))


def hand_over(folder: Path, record: Record, incarnation: str) -> None:
    """The same process for another run; its control group keeps its name. Raises: OSError."""
    _write(folder, replace(record, incarnation=incarnation, group=record.group_name))


def _write(folder: Path, record: Record) -> None:
    unfinished = folder / f"{FILE}.new"
    unfinished.write_bytes(manifests.seal(asdict(record)))
    unfinished.rename(folder / FILE)


def read(folder: Path) -> Record | None:
    """The record of a process that may still run: not of another boot of this host."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        values = json.loads((folder / FILE).read_bytes())
        values.pop(manifests.OWN_SUM, None)  # the process itself is the better proof
        record = Record(**values)
        return record if record.boot_id == boot_id() else None
    return None


def last(folder: Path) -> Record | None:
    """The record, also of another boot of this host: what the sandbox's disk stands on. None if there is none, or it is
    damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError, ManifestError):
        content = (folder / FILE).read_bytes()
        values = json.loads(content)
        # those of before were not sealed
        return Record(**(manifests.unseal(content) if manifests.OWN_SUM in values else values))
    return None


def is_running(folder: Path) -> bool:
    """Whether the recorded process still runs and is provably ours."""
    record = read(folder)
    return record is not None and start_ticks(record.pid) == record.start_ticks


def end_process(folder: Path) -> bool:
    """Ends the recorded process if it still runs and is provably ours, and waits for its end (milliseconds; blocks).
    Answers whether there was one."""
    record = read(folder)
    return record is not None and _end(record.pid, record.start_ticks)


def end_strays(folder: Path) -> int:
    """Ends QEMUs on this folder's disk that no record names: the agent was killed in the moment between their start
    and their record. Looks at all processes (~10 ms; blocks). Answers how many there were."""
    record = read(folder)
    disk = f"file.filename={folder}/overlay".encode()
    count = 0
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        ticks = start_ticks(pid)
        if ticks is None or (record is not None and record.identity == ProcessIdentity(pid, ticks)):
            continue
        with contextlib.suppress(OSError):
            if disk in (entry / "cmdline").read_bytes() and (entry / "exe").readlink().name.startswith("qemu-system"):
                count += _end(pid, ticks)
    return count


def _end(pid: int, ticks: int) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if start_ticks(pid) != ticks:
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        with select.epoll() as poll:
            poll.register(pidfd, select.EPOLLIN)
            poll.poll(END_SECONDS)
        return True
    finally:
        os.close(pidfd)


def boot_id() -> str:
    """Of this run of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

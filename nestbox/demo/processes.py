"""What a sandbox's machine holds on this computer: its processes and their memory."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_DISK = re.compile(rb"file\.filename=([^,\s]+/overlay[^,\s]*)")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """The sum over some processes. Memory is PSS: a page that n processes share counts as 1/n for each."""

    pss_bytes: int
    cpu_seconds: float


def machine_processes(sandbox_id: str) -> dict[int, str]:
    """The QEMU and jail processes of a sandbox that run on this computer, as pid → program name.

    They are known by the folder that their disk lies in. One that came from the pool was started in a folder of its
    own; the record of the process, in the sandbox's folder, says which process it is. Empty if there are none, or if
    the platform runs elsewhere.
    """
    name = sandbox_id.removeprefix("sb-")
    found: dict[int, str] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        arguments = _read(entry / "cmdline").split(b"\0")
        # the program itself is no proof: any client may be called with the id among its arguments
        program = arguments[0].rsplit(b"/", 1)[-1].decode(errors="replace")
        if program.startswith(("qemu-system", "bwrap")):
            disks = _DISK.findall(b" ".join(arguments[1:]))
            if any(_folder_of(disk.decode(errors="replace"), name) for disk in disks):
                found[int(entry.name)] = program
    return found


def _folder_of(disk: str, name: str) -> bool:
    """Whether a machine with this disk is that of the sandbox of this name."""
    folder = Path(disk).parent
    if folder.parent.name != "pool":
        return folder.name == name
    try:
        record = json.loads((folder.parent.parent / "machines" / name / "process.json").read_bytes())
    except (OSError, ValueError):
        return False
    # the control group keeps the name that the clone had in the pool
    return bool(record.get("group") == folder.name)


def qemu_pid(processes: dict[int, str]) -> int:
    """The one QEMU among a machine's processes.

    Raises: LookupError if there is none, or more than one.
    """
    pids = [pid for pid, program in processes.items() if program.startswith("qemu-system")]
    if len(pids) != 1:
        raise LookupError(f"expected one QEMU, found {len(pids)}")
    return pids[0]


def usage(pids: list[int]) -> Usage:
    """Memory and processor time of these processes; one that ended meanwhile counts as nothing.

    Raises: PermissionError if a process belongs to somebody else and the caller is not root.
    """
    return Usage(sum(map(_pss_bytes, pids)), sum(map(_cpu_seconds, pids)))


def _pss_bytes(pid: int) -> int:
    try:
        rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(
        (int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")),
        0,
    )


def _cpu_seconds(pid: int) -> float:
    # the program's name, in parentheses, may hold spaces: fields are counted from the closing one (utime is the 14th)
    fields = _read(_PROC / str(pid) / "stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND if fields else 0.0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""

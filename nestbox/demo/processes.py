"""What a sandbox's machine holds on this computer: its processes and their memory."""

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """The sum over some processes. Memory is PSS: a page that n processes share counts as 1/n for each."""

    pss_bytes: int
    cpu_seconds: float


def machine_processes(sandbox_id: str) -> dict[int, str]:
    """The QEMU and jail processes of a sandbox that run on this computer, as pid → program name.

    They are known by the sandbox's UUID, which stands in the paths among their arguments. Empty if there are none, or
    if the platform runs elsewhere.
    """
    needle = sandbox_id.removeprefix("sb-").encode()
    found: dict[int, str] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        arguments = _read(entry / "cmdline").split(b"\0")
        # the program itself is no proof: any client may be called with the id among its arguments
        program = arguments[0].rsplit(b"/", 1)[-1].decode(errors="replace")
        if program.startswith(("qemu-system", "bwrap")) and any(needle in argument for argument in arguments[1:]):
            found[int(entry.name)] = program
    return found


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

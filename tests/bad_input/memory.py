"""What a process holds, as the kernel says it."""

from pathlib import Path

MIB_KIB = 1024


def held_mib(pid: int) -> float:
    """Its resident memory now."""
    return _status(pid, "VmRSS") / MIB_KIB


def peak_mib(pid: int) -> float:
    """The most that it held since the peak was forgotten."""
    return _status(pid, "VmHWM") / MIB_KIB


def forget_peak(pid: int) -> None:
    """From here on the peak is counted anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"/proc/{pid}/status has no {name}")

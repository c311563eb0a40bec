"""What the figures were measured on."""

import os
import platform
import re
import subprocess
from pathlib import Path


def describe(accelerator: str) -> dict[str, str | int]:
    """CPU, cores, memory, kernel, QEMU and accelerator of this computer."""
    cpu_info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpu_info, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": int(memory[1]) // 1024 if memory else 0,
        "kernel": platform.release(),
        "qemu": qemu_version(),
        "accelerator": accelerator,
    }


def qemu_version() -> str:
    """The version of the QEMU on the path, as in `7.2.22`. Raises: OSError if there is none."""
    output = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"version (\S+)", output)
    return match[1] if match else output.strip()


def tsc_khz() -> int:
    """The clock of the CPU in kHz: the guest's kernel is told it, since its own calibration hangs now and then under
    emulation."""
    match = re.search(r"^cpu MHz\s*:\s*([\d.]+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if match is None:
        raise LookupError("/proc/cpuinfo does not tell the clock of the CPU")
    return int(float(match[1]) * 1000)

"""The frequency of the processor's time-stamp counter, which guests are told (see `arguments.kernel_arguments`)."""

import contextlib
import ctypes
import mmap
import time
from collections.abc import Callable
from pathlib import Path

FILE = "tsc-khz"
MEASURE_SECONDS = 0.05
SAME = 500e-6  # a new measurement this near to the remembered one is the same clock: images depend on the number
_READ_TSC = bytes([0x0F, 0x31, 0x48, 0xC1, 0xE2, 0x20, 0x48, 0x09, 0xD0, 0xC3])  # rdtsc; shl rdx, 32; or rax, rdx; ret


def tsc_khz(data_dir: Path, cpuinfo: Path = Path("/proc/cpuinfo")) -> int:
    """In kHz; remembered in a file, since every measurement differs a little. Blocks for 50 ms.

    In a virtual machine the kernel's own figure is the counter's; on bare metal it is the present clock of one core.
    """
    text = cpuinfo.read_text()
    khz = _nominal(text) if " hypervisor" in text else _measured()
    remembered = 0
    with contextlib.suppress(OSError, ValueError):
        remembered = int((data_dir / FILE).read_text())
    if remembered and abs(khz - remembered) <= remembered * SAME:
        return remembered
    (data_dir / FILE).write_text(str(khz))
    return khz


def _nominal(cpuinfo: str) -> int:
    line = next(line for line in cpuinfo.splitlines() if line.startswith("cpu MHz"))
    return int(float(line.split(":")[1]) * 1000)


def _measured() -> int:
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(_READ_TSC)
        start_of_page = ctypes.c_char.from_buffer(page)
        try:
            read: Callable[[], int] = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(start_of_page))
            read()
            clock, counter = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), read()
            time.sleep(MEASURE_SECONDS)
            elapsed_ns, ticks = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - clock, read() - counter
        finally:
            del start_of_page
    return round(ticks * 1_000_000 / elapsed_ns)

"""What a host needs for this driver, and which Debian package mends what is missing."""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "bwrap": "bubblewrap",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
}
OLDEST_QEMU = (7, 2)
_VERSION = re.compile(r"version (\d+)\.(\d+)(?:\.(\d+))?")


def missing_programs(path: str | None = None) -> dict[str, str]:
    """Each program that is not there, and its package."""
    return {program: package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None}


def namespaces_problem(limits: Path = Path("/proc/sys")) -> str:
    """Why an unprivileged process could not have namespaces of its own; empty if nothing is known against it."""
    switches = {
        "kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
        "user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=10000"),
        "kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap",
        ),
    }
    for name, (bad, mend) in switches.items():
        try:
            value = (limits / name).read_text().strip()
        except OSError:
            continue
        if value == bad:
            return f"Unprivileged user namespaces are switched off: {mend}."
    return ""


def unreachable_folder(folder: Path) -> str:
    """Why machines under user ids of their own could not reach files in a folder; empty if they can."""
    for part in (folder, *folder.parents):
        if part.exists() and not part.stat().st_mode & 0o001:
            return f"{part} cannot be searched by other users: chmod o+x {part}, or choose another data directory."
    return ""


async def qemu_version(qemu: Path) -> str:
    """Such as `7.2.22`. Raises: OSError, ValueError if it is no QEMU or older than 7.2."""
    process = await asyncio.create_subprocess_exec(
        str(qemu), "--version", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    found = _VERSION.search(output.decode("utf-8", "replace"))
    if found is None:
        raise ValueError(f"{qemu} does not say its version")
    numbers = tuple(int(number or 0) for number in found.groups())
    if numbers[:2] < OLDEST_QEMU:
        raise ValueError(f"QEMU {'.'.join(map(str, numbers))} is too old: {'.'.join(map(str, OLDEST_QEMU))} is needed")
    return ".".join(map(str, numbers))


def is_root() -> bool:
    """Whether machines can have user ids of their own."""
    return os.geteuid() == 0

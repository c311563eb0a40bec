"""Is this a computer that the set-up knows? Asked first, answered in a sentence."""

import shutil
from pathlib import Path

from nestbox.errors import Problem

PYTHON_NEEDED = (3, 11)
# The environment takes 0.4 GB, the base image with its cache 0.6 GB, Debian packages 0.5 GB.
FREE_DISK_GB_NEEDED = 3
OS_RELEASE = Path("/etc/os-release")


def check_debian(os_release: str) -> str:
    """The name of the system, from the text of /etc/os-release.

    Raises: Problem when it is not Debian 12.
    """
    values = {
        name: value.strip('"')
        for name, separator, value in (line.strip().partition("=") for line in os_release.splitlines())
        if separator
    }
    name = values.get("PRETTY_NAME", "an unknown system")
    if (values.get("ID"), values.get("VERSION_ID")) != ("debian", "12"):
        raise Problem(
            f"This is {name}. Nestbox is made for Debian 12 so far; other systems come later.",
            "Use a Debian 12 machine, virtual machine or container. To try it here anyway, install the programs that "
            "`python3 -m nestbox.setup --list-packages` names and repeat with SETUP_FLAGS=--any-system.",
        )
    return name


def check_architecture(machine: str) -> None:
    """Raises: Problem when this is not a 64-bit PC."""
    if machine not in ("x86_64", "AMD64"):
        raise Problem(f"This computer is {machine}; the machines of Nestbox are x86_64 so far.", "Use a 64-bit PC.")


def check_python(version: tuple[int, int]) -> str:
    """Raises: Problem when this Python is too old."""
    text = ".".join(str(number) for number in version)
    if version < PYTHON_NEEDED:
        raise Problem(
            f"This is Python {text}; Nestbox needs 3.11 or newer.", "Debian 12 has it: `make PYTHON=/usr/bin/python3`."
        )
    return f"Python {text}"


def check_disk(folder: Path) -> None:
    """Raises: Problem when the disk below `folder` (or its first parent that exists) is nearly full."""
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < FREE_DISK_GB_NEEDED:
        raise Problem(
            f"Only {free_gb:.1f} GB are free at {folder}; the set-up needs {FREE_DISK_GB_NEEDED} GB.",
            "Free some space, or choose another place with NESTBOX_DATA_DIR and NESTBOX_CACHE_DIR.",
        )

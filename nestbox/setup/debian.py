"""Debian packages: which ones are needed, which are missing, and getting them."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from nestbox.errors import Problem
from nestbox.setup.command import CommandFailed, Commands

STEP = "packages"
# Each with the reason; the agent names the same ones in `nestbox doctor`.
RUNTIME = {
    "qemu-system-x86": "runs the machines",
    "qemu-utils": "qemu-img: disks",
    "bubblewrap": "the jail around each machine",
    "mmdebstrap": "builds the base image",
    "e2fsprogs": "mke2fs: disk images",
    "ca-certificates": "trust for downloads",
}
# Root needs no map of user ids to make files of other accounts.
ORDINARY_USER = {"uidmap": "newuidmap: builds the base image without root"}
VENV = "python3-venv"
DEVELOPMENT = {
    "chromium": "the browser test",
    "fonts-liberation": "text in its screenshots",
    "libfaketime": "tests in which one program's clock jumps",
}

_LISTS = Path("/var/lib/apt/lists")
_APT = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "-o", "Dpkg::Use-Pty=0")


def needed(*, development: bool) -> list[str]:
    """The names of all packages that the set-up wants to be there."""
    names = [*RUNTIME, *(() if os.geteuid() == 0 else ORDINARY_USER), *(DEVELOPMENT if development else ())]
    return names if can_make_environments() else [*names, VENV]


def can_make_environments() -> bool:
    """Debian splits off the part of Python that makes virtual environments."""
    return importlib.util.find_spec("ensurepip") is not None


def missing(names: Iterable[str]) -> list[str]:
    """Those of `names` that are not installed.

    Raises: Problem when this system has no dpkg.
    """
    wanted = list(names)
    try:
        answer = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *wanted],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise Problem("There is no dpkg here, so this is no Debian.") from error
    installed = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def install(commands: Commands, names: list[str]) -> None:
    """Installs `names`; fetches the package lists only when there are none or they are out of date.

    Raises: Problem that names what could not be had.
    """
    become_root = _become_root(names)
    commands.progress.say(STEP, f"installing {', '.join(names)}")
    variables = {"DEBIAN_FRONTEND": "noninteractive"}

    def apt(*words: str) -> None:
        commands.run(STEP, [*become_root, *_APT, *words], variables=variables, interruptible=False)

    try:
        fresh = not any(_LISTS.glob("*_Packages*"))
        if fresh:
            apt("update")
        try:
            apt("install", "--yes", "--no-install-recommends", *names)
        except CommandFailed:
            if fresh:
                raise
            commands.progress.say(STEP, "the package lists are out of date; fetching new ones")
            apt("update")
            apt("install", "--yes", "--no-install-recommends", *names)
    except CommandFailed as error:
        raise Problem(
            f"Debian packages could not be installed: {', '.join(missing(names))}.\n  {error.message}",
            f"Check the network and /etc/apt, try `apt-get install {' '.join(names)}` yourself, then repeat.",
        ) from error


def _become_root(names: list[str]) -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise Problem(
            f"These Debian packages are missing, and only root can install them: {', '.join(names)}.",
            f"As root: apt-get install --no-install-recommends {' '.join(names)}",
        )
    # Variables that apt needs do not pass through sudo by themselves.
    return ["sudo", "DEBIAN_FRONTEND=noninteractive"]

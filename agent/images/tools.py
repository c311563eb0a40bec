"""The programs that build the image, and what they say while they do."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

Progress = Callable[[str], None]
"""Called with a sentence now and then."""

# program → Debian package
TOOLS = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "tar": "tar", "dpkg-deb": "dpkg", "unshare": "util-linux"}
ORDINARY_USER_TOOLS = {"newuidmap": "uidmap", "newgidmap": "uidmap"}
SUBORDINATE_IDS = Path("/etc/subuid")
_NONE: Mapping[str, str] = MappingProxyType({})
LAST_LINES = 20  # of what a failed program said, for the log


class BuildError(Exception):
    """The base image could not be built; the message says what to do, `detail` is for the log. Nothing half-built is
    left. Not one of the agent's own errors: those need gRPC, and the set-up builds the image before that is there."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


def missing_tools() -> dict[str, str]:
    """Programs that building the image needs and that are not here, each with its Debian package."""
    tools = TOOLS if os.geteuid() == 0 else TOOLS | ORDINARY_USER_TOOLS
    return {program: package for program, package in tools.items() if shutil.which(program, path=search_path()) is None}


def require_tools() -> None:
    """Raises: BuildError that names what is missing and how to install it."""
    missing = missing_tools()
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        names = ", ".join(sorted(missing))
        raise BuildError(f"The base image needs {names}. Install with: apt-get install -y {packages}")
    if os.geteuid() != 0:
        require_subordinate_ids(pwd.getpwuid(os.geteuid()).pw_name)


def require_subordinate_ids(name: str, table: Path = SUBORDINATE_IDS) -> None:
    """Raises: BuildError when the account `name` has no user ids to lend, which the files of an image belong to."""
    lines = table.read_text().splitlines() if table.exists() else []
    if not any(line.startswith((f"{name}:", f"{os.geteuid()}:")) for line in lines):
        raise BuildError(
            f"Without root, the base image needs user ids that {name} may lend out, and {table} has none. As root: "
            f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
        )


def search_path() -> str:
    """Where programs are sought: an ordinary user's PATH lacks the folders of mke2fs and others."""
    return os.pathsep.join((os.defpath, "/usr/local/bin", "/usr/sbin", "/sbin"))


async def run(
    argv: Sequence[str], *, cwd: Path, variables: Mapping[str, str] = _NONE, said: Progress | None = None
) -> None:
    """Runs a program to its end; a cancellation kills it and all that it started. Its lines go to `said`.

    Raises: BuildError with its last lines as the detail.
    """
    process = await asyncio.create_subprocess_exec(
        # all else is inherited: it may name a proxy
        *("env", f"PATH={search_path()}", "LC_ALL=C.UTF-8", *(f"{name}={value}" for name, value in variables.items())),
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        start_new_session=True,
    )
    last: deque[str] = deque(maxlen=LAST_LINES)
    try:
        stderr = process.stderr or asyncio.StreamReader()  # it is a pipe, as asked for above
        async for line in stderr:
            text = line.decode("utf-8", "replace").strip()
            last.append(text)
            if said is not None:
                said(text)
        code = await process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if code != 0:
        why = next((line for line in reversed(last) if line.startswith(("E:", "error:"))), last[-1] if last else "")
        raise BuildError(f"{argv[0]} failed while the base image was built: {why}", detail="\n".join(last))

"""The peer: a container of podman and crun, on the same root file system as a sandbox.

`podman run --detach`, `podman exec`, `podman rm --force`, each timed as its caller sees it. The root file system is the
base image's disk, mounted read-only, with an overlay of podman's own above it, as a sandbox has one of its own too. No
network and no control groups: less work for the peer than it has elsewhere, so the ratio is to its advantage.
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

RUN_OPTIONS = (
    *("--runtime", "crun"),
    "run",
    *("--detach", "--network=none", "--cgroups=disabled"),
    # those of this process may be more than crun may set
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"),
)
DEADLINE_SECONDS = 30
UNIFIED = Path("/sys/fs/cgroup/unified")


class ContainerError(Exception):
    """podman does not run containers here; the text says why."""


@dataclass(frozen=True, slots=True)
class Life:
    """One container's steps, in milliseconds."""

    run: float
    exec: float
    remove: float

    @property
    def first_output(self) -> float:
        """From nothing to the output of the first command."""
        return self.run + self.exec

    @property
    def whole(self) -> float:
        """`run`, `exec` and `rm`."""
        return self.run + self.exec + self.remove


class Containers:
    """Made by `containers`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def life(self, name: str) -> Life:
        """One container from its start to its end. Raises: ContainerError."""
        run = await _timed(*RUN_OPTIONS, "--name", name, "--rootfs", f"{self._root}:O", "sleep", "600")
        try:
            output = await _timed("--runtime", "crun", "exec", name, "true")
        finally:
            removal = await _timed("--runtime", "crun", "rm", "--force", "--time", "0", name)
        return Life(run, output, removal)


@asynccontextmanager
async def containers(disk: Path) -> AsyncIterator[Containers]:
    """Containers on the file system in `disk`, a raw ext4 image.

    Raises: ContainerError when podman or crun is missing, or the disk cannot be mounted.
    """
    for program in ("podman", "crun", "mount", "unshare"):
        if shutil.which(program) is None:
            raise ContainerError(f"{program} is not installed: apt-get install -y --no-install-recommends podman crun")
    with tempfile.TemporaryDirectory(prefix="nestbox-peer-") as name:
        root = Path(name)
        await _checked("mount", "-o", "loop,ro,noload", str(disk), str(root))
        try:
            yield Containers(root)
        finally:
            await _checked("umount", str(root))


async def _timed(*words: str) -> float:
    start = time.perf_counter()
    await _checked(*_apart(), "podman", *words)
    return (time.perf_counter() - start) * 1000


def _apart() -> tuple[str, ...]:
    """A view for podman without the second version of control groups: crun refuses to run where both are mounted. This
    takes about 2 ms of each step."""
    if not UNIFIED.is_dir():
        return ()
    return ("unshare", "--mount", "sh", "-c", f'umount -l {UNIFIED}; exec "$@"', "sh")


async def _checked(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            _, complaints = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise ContainerError(f"`{' '.join(words)}` failed: {complaints.decode(errors='replace').strip()}")

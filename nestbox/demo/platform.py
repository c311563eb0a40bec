"""A platform to talk to: the one that runs already, or one of our own that is gone afterwards."""

import asyncio
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_DEADLINE_SECONDS = 600
"""A first start builds the base image."""
STOP_DEADLINE_SECONDS = 60
READY_POLL_SECONDS = 0.1
TELL_SECONDS = 10
LOG_LINES_SHOWN = 20

Progress = Callable[[str], None]
"""Told a line for people, now and then, while something takes long."""

_OF_ANOTHER_PLATFORM = frozenset(
    {"DATABASE_URL", "DATABASE_OWNER_URL", "NESTBOX_API_HOST", "NESTBOX_AGENT_ADDRESS", "NESTBOX_AGENT_DRIVER"}
)
_KEY = re.compile(r"\bnb_[0-9A-Za-z-]+_[0-9A-Za-z_-]+")


class PlatformError(Exception):
    """There is no platform to talk to; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Where a platform is and the key to it."""

    url: str
    key: str


@asynccontextmanager
async def platform(environment: Mapping[str, str], progress: Progress) -> AsyncIterator[Platform]:
    """The platform that NESTBOX_URL and NESTBOX_API_KEY name, else one of our own.

    Raises: PlatformError.
    """
    url, key = environment.get("NESTBOX_URL"), environment.get("NESTBOX_API_KEY")
    if url and key:
        yield Platform(url, key)
    elif url or key:
        raise PlatformError("Set both NESTBOX_URL and NESTBOX_API_KEY, or neither to have a platform started here.")
    else:
        async with own_platform(environment, progress) as own:
            yield own


@asynccontextmanager
async def own_platform(environment: Mapping[str, str], progress: Progress) -> AsyncIterator[Platform]:
    """Starts `nestbox up` on free ports with an empty data directory; stops it and removes the directory at the end,
    also when cancelled. The base image is taken from the user's cache, where it is built if need be.

    Raises: PlatformError if it does not come up.
    """
    directory = Path(tempfile.mkdtemp(prefix="nestbox-demo-"))
    # PostgreSQL and QEMU run as users of their own and must be able to pass through
    directory.chmod(0o711)
    try:
        api_port, agent_port = _free_ports(2)
        url = f"http://127.0.0.1:{api_port}"
        settings = {
            # of the user's own settings only what does not point at the user's own platform and database
            **{name: value for name, value in environment.items() if name not in _OF_ANOTHER_PLATFORM},
            "NESTBOX_DATA_DIR": str(directory / "data"),
        }
        ports = ("--api-port", str(api_port), "--agent-port", str(agent_port))
        log = directory / "up.log"
        with log.open("wb") as output:
            # a session of its own: Ctrl-C is for us, and we stop it in order; it stops itself if we are killed
            process = await asyncio.create_subprocess_exec(
                "setpriv",
                "--pdeathsig",
                "TERM",
                "--",
                sys.executable,
                "-m",
                "nestbox",
                "up",
                *ports,
                stdout=output,
                stderr=output,
                env=settings,
                start_new_session=True,
            )
        try:
            await _until_ready(process, url, log, progress)
            yield Platform(url, await _new_key(settings))
        finally:
            await asyncio.shield(_stop(process))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _until_ready(process: asyncio.subprocess.Process, url: str, log: Path, progress: Progress) -> None:
    start = told_at = time.monotonic()
    async with httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as http:
        while not await _is_ready(http):
            if process.returncode is not None:
                raise PlatformError(f"`nestbox up` ended ({process.returncode}):\n{_tail(log, LOG_LINES_SHOWN)}")
            now = time.monotonic()
            if now - start > START_DEADLINE_SECONDS:
                raise PlatformError(
                    f"`nestbox up` is not ready after {now - start:.0f} s:\n{_tail(log, LOG_LINES_SHOWN)}"
                )
            if now - told_at > TELL_SECONDS:
                told_at = now
                progress(f"still starting: {_tail(log, 1)}")
            await asyncio.sleep(READY_POLL_SECONDS)


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).is_success
    except httpx.HTTPError:
        return False


async def _new_key(environment: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nestbox",
        "key",
        "create",
        "--name",
        "demo",
        "--admin",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    output = (await process.communicate())[0].decode(errors="replace")
    match = _KEY.search(output)
    if match is None:
        raise PlatformError(f"`nestbox key create` printed no key ({process.returncode}):\n{output}")
    return match[0]


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_DEADLINE_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(log: Path, lines: int) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _free_ports(count: int) -> list[int]:
    # all are bound at once, so that they differ
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [bound.getsockname()[1] for bound in sockets]
    for bound in sockets:
        bound.close()
    return ports

"""The guest program as it runs in a machine, but on this computer: same files, same flags, a socket for its port."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from agent.drivers.driver import Command, ExecEvent, Exited, Output
from agent.images import initrd
from agent.link.link import GuestLink
from tests.waiting import DEADLINE_SECONDS, eventually


class RunningGuest:
    """One process of it. Whatever it writes outside of commands is below `root`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        for name in ("root", "run/nestbox", "run/identity"):
            (self.root / name).mkdir(parents=True)
        for name, content in initrd.guest_program().items():
            target = folder / "program" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self._start = folder / "program/start.py"
        self._socket = folder / "port"
        self.process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", self._start, "--listen", self._socket, "--root", self.root]
        )

    async def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)

        def connected() -> bool:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                connection.connect(str(self._socket))
                return True
            return False

        await eventually(connected)
        return connection

    async def link(self) -> GuestLink:
        return await GuestLink.open(await self.connect(), deadline_seconds=DEADLINE_SECONDS)

    def restart(self) -> None:
        self.stop()
        self.process = self._spawn()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._socket.unlink(missing_ok=True)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


async def events(link: GuestLink, *argv: str, stdin: bytes | None = None, **more: object) -> list[ExecEvent]:
    """Runs a command to its end."""
    process = await link.exec(Command(argv, **more))  # type: ignore[arg-type]
    if stdin is not None:
        await process.write(stdin)
        await process.close_stdin()
    found = [event async for event in process]
    await process.close()
    return found


def output(found: list[ExecEvent], stream: int = 1) -> bytes:
    return b"".join(event.data for event in found if isinstance(event, Output) and event.stream == stream)


def exited(found: list[ExecEvent]) -> Exited:
    assert isinstance(found[-1], Exited)
    return found[-1]


async def pass_time(seconds: float) -> None:
    """Where that nothing happens is what is tested."""
    until = time.monotonic() + seconds
    await eventually(lambda: time.monotonic() >= until)


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


def gone(pid: int) -> bool:
    """Whether the process is no more, or only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True

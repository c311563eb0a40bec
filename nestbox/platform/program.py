"""One program of the platform: started in a session of its own, watched, stopped."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from nestbox.logs import bound

LAST_LINES_BYTES_MAX = 64 * 1024


class Program:
    """A running program. Must be made and used in the event loop's thread, which is the main one: the kernel sends the
    program SIGTERM when the thread that started it ends, so that nothing is left behind by a killed platform.
    """

    def __init__(self, name: str, argv: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.name = name
        self.log = log
        bound(log)
        with log.open("ab") as output:
            self._log_offset = output.tell()
            # In a session of its own, so that Ctrl-C reaches only us and the order of stopping is ours.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", *argv],
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(self._process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_end)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()
        self._ended.set()

    @property
    def pid(self) -> int:
        """The program's own process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode if self._ended.is_set() else None

    async def wait(self) -> int:
        """Waits for the end; returns the exit status. May be cancelled."""
        await self._ended.wait()
        return self._process.returncode

    async def stop(self, deadline_seconds: float) -> bool:
        """Asks the program to end and waits; kills it at the deadline. False when it had to be killed."""
        if self._ended.is_set():
            return True
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(deadline_seconds):
                await self.wait()
        except TimeoutError:
            self._process.kill()
            await self.wait()
            return False
        return True

    def bound_log(self) -> None:
        """Moves the log away if it is too long; the program writes on, into an empty one."""
        if bound(self.log):
            self._log_offset = 0

    def last_lines(self, count: int = 12) -> list[str]:
        """The end of what it wrote since it was started."""
        with self.log.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(self._log_offset, log.tell() - LAST_LINES_BYTES_MAX))
            return log.read().decode(errors="replace").splitlines()[-count:]

"""One QEMU process: started in its jail, proved to be ours, watched by a pidfd, ended."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable

from agent.drivers.driver import ProcessIdentity
from agent.drivers.qemu.spawn import STDERR_BYTES, Spawned, start_ticks

REAP_SECONDS = 2.0  # bubblewrap's monitor ends a few milliseconds after QEMU


class QemuProcess:
    """A QEMU, started by this agent or adopted. Knows when it ended, without polling."""

    def __init__(
        self,
        identity: ProcessIdentity,
        pidfd: int,
        *,
        launcher: subprocess.Popen[bytes] | None = None,
        stderr_fd: int | None = None,
    ) -> None:
        self.identity = identity
        self._pidfd = pidfd
        self._launcher = launcher
        self._stderr_fd = stderr_fd
        self._ended = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pidfd, self._at_end)

    @classmethod
    def started(cls, spawned: Spawned) -> "QemuProcess":
        """The one that was just started."""
        return cls(spawned.identity, spawned.pidfd, launcher=spawned.launcher, stderr_fd=spawned.stderr_fd)

    @classmethod
    def adopted(cls, identity: ProcessIdentity) -> "QemuProcess | None":
        """The one that an earlier agent started; None if it is gone, also when its pid is another's by now."""
        try:
            pidfd = os.pidfd_open(identity.pid)
        except OSError:
            return None
        # Compared once the pidfd holds it: from here on the pid cannot become another's unnoticed.
        if start_ticks(identity.pid) != identity.start_ticks or _has_ended(pidfd):
            os.close(pidfd)
            return None
        return cls(identity, pidfd)

    def _at_end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._ended.set()
        for listener in self._listeners:
            listener()

    def at_end(self, listener: Callable[[], None]) -> None:
        """Calls it when the process has ended; at once if it has."""
        self._listeners.append(listener)
        if self._ended.is_set():
            listener()

    @property
    def running(self) -> bool:
        """Whether it has not ended, not even a moment ago."""
        return not self._ended.is_set() and (self._pidfd < 0 or not _has_ended(self._pidfd))

    async def ended(self) -> None:
        """Returns when the process has ended."""
        await self._ended.wait()

    def kill(self) -> None:
        """Ends it at once, with all processes of its namespace. May be repeated."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def exit_status(self) -> int | None:
        """Its exit status as a shell gives it (128 + signal), once it has ended; None for an adopted one, whose
        status went to another parent."""
        await self._ended.wait()
        if self._launcher is None:
            return None
        launcher = self._launcher
        try:
            return await asyncio.to_thread(launcher.wait, REAP_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def words(self) -> str:
        """What QEMU said on its standard error, but for its warnings: every healthy machine has some."""
        if self._stderr_fd is None:
            return ""
        said = os.pread(self._stderr_fd, STDERR_BYTES, 0).rstrip(b"\0").decode("utf-8", "replace")
        return "\n".join(line for line in said.splitlines() if ": warning: " not in line).strip()

    def close(self) -> None:
        """Lets go of the process, whether it runs or not. May be repeated."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._stderr_fd is not None:
            os.close(self._stderr_fd)
            self._stderr_fd = None
        if self._launcher is not None and self._launcher.poll() is None:
            # It runs on without us, which Popen would warn about.
            self._launcher.returncode = 0


def _has_ended(pidfd: int) -> bool:
    """Also when nobody has asked for its exit status yet."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))

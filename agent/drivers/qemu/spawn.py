"""Starting a jailed QEMU. Everything here blocks, for ~10 ms: call it in a thread."""

import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.drivers.driver import ProcessIdentity

STDERR_BYTES = 16384  # the first words of a QEMU that cannot start; what does not fit is refused to it
INFO_BYTES_MAX = 4096
EMPTY_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


class SpawnError(Exception):
    """The jail or QEMU could not be started; nothing of it runs."""


@dataclass(slots=True)
class Spawned:
    """A QEMU that runs. `launcher` is bubblewrap's monitor, which ends with QEMU's exit status."""

    identity: ProcessIdentity
    pidfd: int
    launcher: subprocess.Popen[bytes]
    stderr_fd: int


def spawn(command: Callable[[int], Sequence[str]], pass_fds: Sequence[int]) -> Spawned:
    """Starts `command(info_fd)`, a command line of `Jail.command`, in a session of its own and without core dumps.

    Descriptors in `pass_fds` stay the caller's to close. Raises: SpawnError.
    """
    stderr_fd = _bounded_file()
    info_read, info_write = os.pipe()
    try:
        try:
            launcher = subprocess.Popen(
                command(info_write),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr_fd,
                pass_fds=(*pass_fds, info_write),
                start_new_session=True,
                # Python ignores SIGXFSZ and SIGPIPE. QEMU shall too: a write beyond its limit is an error, not its end.
                restore_signals=False,
                env=EMPTY_ENVIRONMENT,
                cwd="/",
            )
        finally:
            os.close(info_write)
        try:
            pid = _child_pid(info_read)
        except (OSError, ValueError) as error:
            launcher.kill()  # it ended or is about to: nothing was started yet
            launcher.wait()
            words = os.pread(stderr_fd, STDERR_BYTES, 0).rstrip(b"\0").decode("utf-8", "replace")
            raise SpawnError(f"the jail did not start ({error}): {words.strip()}") from error
        # A child of its launcher, which is ours and not reaped yet; a QEMU that ended already is noticed by its pidfd.
        pidfd = os.pidfd_open(pid)
        ticks = start_ticks(pid)
    except BaseException:
        os.close(stderr_fd)
        raise
    finally:
        os.close(info_read)
    return Spawned(ProcessIdentity(pid, ticks or 0), pidfd, launcher, stderr_fd)


def start_ticks(pid: int) -> int | None:
    """When a process started (field 22 of its stat, in clock ticks since boot); None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def _bounded_file() -> int:
    """A file in memory that cannot grow: QEMU's last words need a bound, not a reader."""
    fd = os.memfd_create("stderr", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, STDERR_BYTES)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return fd


def _child_pid(info_read: int) -> int:
    """QEMU's pid from bubblewrap's report, which can come in parts. Raises: ValueError if it ends early."""
    report = b""
    while not report.rstrip().endswith(b"}"):
        part = os.read(info_read, INFO_BYTES_MAX)
        if not part or len(report) > INFO_BYTES_MAX:
            raise ValueError("bubblewrap ended before it reported")
        report += part
    return int(json.loads(report)["child-pid"])

"""What a platform that was killed left behind: programs that the kernel told to end, which may take them a while."""

import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

# The programs drain for a few seconds when they are asked to end.
END_SECONDS = 20.0
_PROGRAMS = ([b"-m", b"agent"], [b"-m", b"api"])


def end_leftovers(token_file: Path, say: Callable[[str], None]) -> None:
    """Waits until no agent and no API of this data directory runs, and kills what does not end.

    They are known by their environment, which names the token file: a process id alone may have been reused. Whoever
    calls holds the lock of the data directory, so none of them belongs to a platform that runs.
    """
    found = [pid for pid in _own_processes() if _is_leftover(pid, token_file)]
    if not found:
        return
    say(f"ending what an earlier start left behind: {', '.join(f'process {pid}' for pid in found)}")
    deadline = time.monotonic() + END_SECONDS
    for pid in found:
        _end(pid, token_file, deadline)


def _own_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _is_leftover(pid: int, token_file: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:-1]
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return words in _PROGRAMS and b"NESTBOX_AGENT_TOKEN_FILE=" + os.fsencode(token_file) in variables


def _end(pid: int, token_file: Path, deadline: float) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # the descriptor holds on to this process: asked again, the answer is about it
        if not _is_leftover(pid, token_file):
            return
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if not select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [])
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)

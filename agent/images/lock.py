"""One program at a time: what is built or registered is so once, whoever asks."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path

from agent.images.tools import Progress

POLL_SECONDS = 0.2


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock file now; no file, no holder. Raises: OSError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextlib.asynccontextmanager
async def locked(path: Path, progress: Progress) -> AsyncIterator[None]:
    """Holds the lock file; the kernel lets go of it when this program ends, however it ends. Raises: OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        said = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    progress("Waiting for another program that builds the base image…")
                    said = True
                await asyncio.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)

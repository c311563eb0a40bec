"""Log files of programs that run for months: bounded from outside, without the programs' help."""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

LOG_BYTES_MAX = 16 * 1024 * 1024
"""Of a log, and again of its predecessor `<name>.1`; a log can be longer by what is written within `CHECK_SECONDS`."""
CHECK_SECONDS = 10.0


def bound(log: Path) -> bool:
    """Moves the end of a log that is too long to `<name>.1`, over what was there, and empties it. True if it did.

    Whoever writes to it goes on at its start, if they opened it for appending; a line that they write meanwhile can be
    lost. When there is no room for the copy, the old lines are given up.
    """
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return False
    if size <= LOG_BYTES_MAX:
        return False
    older = log.with_name(f"{log.name}.1")
    try:
        _copy_end(log, older, size)
    except OSError:
        older.unlink(missing_ok=True)
    os.truncate(log, 0)
    return True


async def keep_bounded(bounds: Iterable[Callable[[], object]]) -> None:
    """Calls each of `bounds` now and then, until it is cancelled."""
    every = list(bounds)
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        for bound_one in every:
            bound_one()


def _copy_end(log: Path, older: Path, size: int) -> None:
    with log.open("rb") as reader, older.open("wb") as writer:
        older.chmod(0o600)
        offset = size - LOG_BYTES_MAX
        while offset < size:
            copied = os.sendfile(writer.fileno(), reader.fileno(), offset, size - offset)
            if copied == 0:
                break
            offset += copied

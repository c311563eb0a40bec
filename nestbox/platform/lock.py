"""One platform per data directory."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from nestbox.errors import Problem


@contextlib.contextmanager
def hold_lock(data_dir: Path) -> Iterator[None]:
    """Holds the lock of the data directory; the kernel lets go of it when this process ends, however it ends.

    Raises: Problem when another process holds it.
    """
    with (data_dir / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise Problem(
                f"Nestbox runs on {data_dir} already (process {holder}).",
                "Use that one, stop it with Ctrl-C there, or choose another --data-dir.",
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield

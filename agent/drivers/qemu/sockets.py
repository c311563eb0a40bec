"""Unix sockets in a folder of the agent's, at paths of any length."""

import contextlib
import os
import socket
from pathlib import Path

QMP = "qmp.sock"
LINK = "link.sock"


def listen(folder: Path, name: str) -> socket.socket:
    """A listening socket for QEMU to inherit; the agent can connect before QEMU runs, and again after a restart.

    Replaces an older one. Only the folder guards it: it must be 0700.
    """
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(f"/proc/self/fd/{directory}/{name}")  # a Unix address holds 108 bytes, a path may be longer
            listener.listen(1)
        except BaseException:
            listener.close()
            raise
        return listener
    finally:
        os.close(directory)


def connect(folder: Path, name: str) -> socket.socket:
    """A non-blocking connection; accepted later by whoever inherited the listener.

    Raises: OSError if nobody listens, BlockingIOError if an earlier connection still waits to be accepted.
    """
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.connect(f"/proc/self/fd/{directory}/{name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection

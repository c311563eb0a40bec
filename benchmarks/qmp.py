"""QMP as bare as it can be: one blocking socket, one command at a time."""

import json
import socket
import time
from pathlib import Path
from typing import Any

CONNECT_DEADLINE_SECONDS = 10
CONNECT_POLL_SECONDS = 0.002


class QmpError(Exception):
    """QEMU refused a command."""


def connect_unix(path: Path) -> socket.socket:
    """A socket connected to `path`, which may be still to appear. Raises: TimeoutError."""
    deadline = time.monotonic() + CONNECT_DEADLINE_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody listens at {path}") from None
            time.sleep(CONNECT_POLL_SECONDS)
        else:
            return connection


class Qmp:
    """A connection to a QEMU's monitor."""

    def __init__(self, path: Path) -> None:
        self._socket = connect_unix(path)
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: object) -> dict[str, Any]:
        """The answer to a command. Raises: QmpError, ConnectionError if QEMU is gone."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        return self._answer()

    def give_descriptor(self, name: str, descriptor: int) -> None:
        """Hands QEMU a file under a name, for `fd:` addresses."""
        request = json.dumps({"execute": "getfd", "arguments": {"fdname": name}}).encode() + b"\n"
        socket.send_fds(self._socket, [request], [descriptor])
        self._answer()

    def close(self) -> None:
        """Closes the connection; QEMU runs on."""
        self._lines.close()
        self._socket.close()

    def _answer(self) -> dict[str, Any]:
        while line := self._lines.readline():
            message = json.loads(line)
            if "error" in message:
                raise QmpError(message["error"]["desc"])
            if "return" in message:
                return dict(message["return"])
        raise ConnectionError("QEMU closed its monitor")

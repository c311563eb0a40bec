"""Who this machine is. A clone is its template's twin until it has been told: same clock, same random numbers."""

# pathlib would take longer to import in an emulated machine than all of this program
# ruff: noqa: PTH123

from __future__ import annotations

import fcntl
import os
import time

from agent.guest import connections, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.guest.process import Spawner

# linux/random.h
_RNDADDENTROPY = 0x40085203
_RNDRESEEDCRNG = 0x5207
_STATE = b"/run/nestbox/environment"
_FOLDER = b"/run/identity/"
_ID = b"NESTBOX_SANDBOX_ID"


class Identity:
    """Applies what the host says and remembers the environment, over a restart of this program too."""

    def __init__(self, spawner: Spawner, *, root: bytes, machine: bool) -> None:
        """Files are written below `root`. Without `machine`, clock, entropy and hostname are left alone: then this
        runs on somebody's computer."""
        self._spawner = spawner
        self._root = root
        self._machine = machine
        self._random = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC) if machine else -1

    def recall(self) -> None:
        """After a restart of this program: the environment as it was."""
        try:
            with open(self._root + _STATE, "rb") as file:
                entries = file.read().split(b"\0")
        except OSError:
            return  # a fresh machine
        self._spawner.environment = _variables(entries)

    def adjust(self, nanoseconds: int) -> bytes:
        """Sets the clock forward by so much; answers with what it says. Raises: OSError."""
        if nanoseconds:
            time.clock_settime_ns(time.CLOCK_REALTIME, time.time_ns() + nanoseconds)
        return wire.TIME.pack(time.time_ns())

    def apply(self, body: bytes) -> bytes:
        """Answers with what the clock says then, so that the host can tell how late it was set. Raises: OSError."""
        unix_ns, entropy_bytes = wire.IDENTITY.unpack_from(body)
        start = wire.IDENTITY.size
        entropy = body[start : start + entropy_bytes]
        sandbox_id, hostname, machine_id, *entries = body[start + entropy_bytes :].split(b"\0")
        if self._machine:
            time.clock_settime_ns(time.CLOCK_REALTIME, unix_ns)
            if entropy:
                size = len(entropy)
                packed = (size * 8).to_bytes(4, "little") + size.to_bytes(4, "little") + entropy
                fcntl.ioctl(self._random, _RNDADDENTROPY, packed)
                fcntl.ioctl(self._random, _RNDRESEEDCRNG)
            _write(b"/proc/sys/kernel/hostname", hostname)
            if self._spawner.environment.get(_ID, sandbox_id) != sandbox_id:
                # It was another's until now: a template's, or a fork's parent. One that goes on after a pause, or has a
                # new agent, keeps its connections.
                connections.reset()
        entries.append(_ID + b"=" + sandbox_id)
        self._spawner.environment = _variables(entries)
        # below /etc there are links to these, as the image's recipe says
        folder = self._root + _FOLDER
        _write(self._root + _STATE, b"\0".join(entries), 0o600)
        _write(folder + b"hostname", hostname + b"\n")
        _write(folder + b"machine-id", machine_id + b"\n")
        _write(folder + b"hosts", b"127.0.0.1 localhost\n127.0.1.1 " + hostname + b"\n::1 localhost ip6-localhost\n")
        _write(folder + b"environment", b"".join(_line(entry) for entry in entries))
        return wire.TIME.pack(time.time_ns()) if self._machine else b""


def _variables(entries: list[bytes]) -> dict[bytes, bytes]:
    variables = {}
    for entry in entries:
        name, _, value = entry.partition(b"=")
        variables[name] = value
    return variables


def _line(entry: bytes) -> bytes:
    """For `/etc/environment`, which has no way to write a line break: such a variable is left out."""
    return b"" if b"\n" in entry else entry + b"\n"


def _write(path: bytes, content: bytes, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)

"""Commands: a program in a session of its own, with a pipe for each of its standard streams."""

# pathlib would take longer to import in an emulated machine than all of this program
# ruff: noqa: PTH110, PTH112

from __future__ import annotations

import errno
import fcntl
import os
import time

from agent.guest import refusal, wire
from agent.guest.loop import IN, OUT
from agent.guest.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.guest.session import Session

SIGKILL = 9
_SIGPIPE, _SIGXFSZ = 13, 25  # Python ignores these two; a command must not inherit that
_FIONREAD = 0x541B
EXIT_GRACE_MS = 100
"""How long the outputs of a program that ended may stay open in its children's hands before they are cut off."""
PATH_DEFAULT = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Spawner:
    """Starts programs as the sandbox's user. The guest's own protection from the out-of-memory killer is lifted for the
    moment of the start, since a child inherits it."""

    def __init__(self, *, protected: bool, home: bytes) -> None:
        self.home = home
        self.environment: dict[bytes, bytes] = {}
        """What the sandbox was created with; a command's own comes on top."""
        self._defaults = {
            b"PATH": PATH_DEFAULT,
            b"HOME": home,
            b"LANG": b"C.UTF-8",
            b"USER": b"root",
            b"SHELL": b"/bin/bash",
        }
        self._oom = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC) if protected else -1
        if protected:
            os.write(self._oom, b"-1000")

    def spawn(self, cwd: bytes, argv: list[bytes], own: list[bytes], descriptors: tuple[int, int, int]) -> int:
        """Returns the pid, which is also its process group. Raises: Refusal."""
        environment = {**self._defaults, **self.environment}
        for entry in own:
            name, _, value = entry.partition(b"=")
            environment[name] = value
        try:
            os.chdir(cwd or self.home)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                shown = (cwd or self.home)[:256].decode("utf-8", "replace")
                raise Refusal(refusal.NO_SUCH_DIRECTORY, f"There is no folder {shown}.") from None
            raise refusal.of_os_error(error, cwd) from None
        program = _find(argv[0], environment[b"PATH"])
        stdin, stdout, stderr = descriptors
        try:
            if self._oom >= 0:
                os.pwrite(self._oom, b"0", 0)
            return os.posix_spawn(
                program,
                argv,
                environment,
                file_actions=(
                    (os.POSIX_SPAWN_DUP2, stdin, 0),
                    (os.POSIX_SPAWN_DUP2, stdout, 1),
                    (os.POSIX_SPAWN_DUP2, stderr, 2),
                ),
                setsid=True,
                setsigdef=(_SIGPIPE, _SIGXFSZ),
            )
        except OSError as error:
            raise _not_started(error, argv[0]) from None
        finally:
            if self._oom >= 0:
                os.pwrite(self._oom, b"-1000", 0)
            os.chdir("/")


def _find(name: bytes, path: bytes) -> bytes:
    """The file to run, as a shell would find it."""
    if b"/" in name:
        return name
    unusable = False
    for folder in path.split(b":"):
        candidate = (folder or b".") + b"/" + name
        if os.access(candidate, os.X_OK):
            if not os.path.isdir(candidate):
                return candidate
        elif os.path.exists(candidate):
            unusable = True
    shown = name[:256].decode("utf-8", "replace")
    if unusable:
        raise Refusal(refusal.COMMAND_NOT_EXECUTABLE, f"{shown} is not executable.")
    raise Refusal(refusal.COMMAND_NOT_FOUND, f"There is no command {shown} in PATH.")


def _not_started(error: OSError, name: bytes) -> Refusal:
    shown = name[:256].decode("utf-8", "replace")
    if error.errno == errno.ENOENT and os.path.exists(name):
        return Refusal(refusal.COMMAND_NOT_FOUND, f"The interpreter that {shown} asks for does not exist.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Refusal(refusal.COMMAND_NOT_FOUND, f"There is no command {shown}.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.EISDIR, errno.ELIBBAD):
        return Refusal(refusal.COMMAND_NOT_EXECUTABLE, f"{shown} is not executable: {error.strerror}.")
    if error.errno == errno.E2BIG:
        return Refusal(refusal.INVALID, "The arguments and environment are too long (about 2 MiB, 128 KiB each).")
    return refusal.of_os_error(error, name)


class Process:
    """One command. It lives on in the loop until its outputs end, also when nobody listens any more."""

    def __init__(self, session: Session, stream: int, body: bytes) -> None:
        """Starts it and says so. Raises: Refusal, and nothing is left."""
        self._session = session
        self._loop = loop = session.loop
        self._stream = stream
        self._attached = True
        self._credit = wire.OUTPUT_WINDOW
        self._owed: dict[int, int] = {}
        self._input = bytearray()
        self._input_ended = False
        self._input_armed = False
        self._to_grant = 0
        self._timer = 0
        self._timed_out = False
        self._status: int | None = None
        self._grace_over = False
        self._waiting: list[int] = []
        self._kinds: dict[int, int] = {}
        timeout_ms, count = wire.COMMAND.unpack_from(body)
        fields = body[wire.COMMAND.size :].split(b"\0")
        self._start(session.spawner, fields[0], fields[1 : count + 1], fields[count + 1 :])
        session.send(stream, wire.STARTED, wire.PID.pack(self.pid))
        if timeout_ms:
            self._timer = loop.call_in(timeout_ms, self._time_is_up)

    def _start(self, spawner: Spawner, cwd: bytes, argv: list[bytes], own: list[bytes]) -> None:
        pipes: list[int] = []
        try:
            for _ in range(3):
                pipes += os.pipe2(os.O_CLOEXEC)
            stdin, self._stdin, stdout, out, stderr, err = pipes[0], pipes[1], pipes[3], pipes[2], pipes[5], pipes[4]
            self._began = time.monotonic_ns()
            self.pid = spawner.spawn(cwd, argv, own, (stdin, stdout, stderr))
        except OSError as error:
            _close(pipes)
            raise refusal.of_os_error(error, argv[0]) from None
        except Refusal:
            _close(pipes)
            raise
        _close([stdin, stdout, stderr])
        self._kinds = {out: wire.STDOUT, err: wire.STDERR}
        for descriptor in (out, err):
            os.set_blocking(descriptor, False)
            self._loop.watch(descriptor, IN, self._reader(descriptor))
        os.set_blocking(self._stdin, False)
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.watch(self._pidfd, IN, self._ended)

    # its input

    def data(self, payload: bytes) -> None:
        """Input for the command; what it does not read is kept, within the window."""
        if self._stdin < 0:
            self._grant(len(payload) + wire.FRAME_COST)
            return
        self._input += payload
        self._to_grant += wire.FRAME_COST
        if not self._input_armed:
            self._write()

    def end(self) -> None:
        """The end of its input."""
        self._input_ended = True
        if self._stdin >= 0 and not self._input:
            self._close_input()

    def _write(self) -> None:
        try:
            while self._input:
                written = os.write(self._stdin, self._input[:65536])
                del self._input[:written]
                self._grant(written)
        except BlockingIOError:
            if not self._input_armed:
                self._input_armed = True
                self._loop.watch(self._stdin, OUT, self._write)
            return
        except OSError:  # it closed its input
            self._close_input()
            return
        if self._input_ended:
            self._close_input()
        elif self._input_armed:
            self._input_armed = False
            self._loop.forget(self._stdin)

    def _close_input(self) -> None:
        if self._stdin < 0:
            return
        if self._input_armed:
            self._loop.forget(self._stdin)
        os.close(self._stdin)
        self._stdin = -1
        self._input_armed = False
        self._grant(len(self._input))
        self._input.clear()

    def _grant(self, credit: int) -> None:
        self._to_grant += credit
        if self._attached and self._to_grant >= wire.CREDIT_STEP:
            self._session.send(self._stream, wire.CREDIT, wire.COUNT.pack(self._to_grant))
            self._to_grant = 0

    # its outputs

    def _reader(self, descriptor: int) -> Callable[[], None]:
        return lambda: self._read(descriptor)

    def _read(self, descriptor: int) -> None:
        room = wire.PAYLOAD_BYTES_MAX
        if self._attached:
            room = min(room, self._credit - wire.FRAME_COST)
            if room <= 0 or self._session.full:
                # not armed at all: an end of file would be reported over and over
                self._loop.forget(descriptor)
                self._waiting.append(descriptor)
                if room > 0:
                    self._session.when_free(self._go_on)
                return
        try:
            data = os.read(descriptor, room)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.forget(descriptor)
            os.close(descriptor)
            del self._kinds[descriptor]
            self._owed.pop(descriptor, None)
        elif self._attached:
            self._credit -= len(data) + wire.FRAME_COST
            self._session.send(self._stream, self._kinds[descriptor], data)
            if self._status is not None:
                self._owed[descriptor] -= len(data)
        if self._status is not None:
            self._report()

    def credit(self, count: int) -> None:
        """The host has taken that much of its output."""
        self._credit += count
        self._go_on()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for descriptor in waiting:
            self._loop.watch(descriptor, IN, self._reader(descriptor))

    # its end

    def _time_is_up(self) -> None:
        self._timer = 0
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        if self._status is None:
            try:
                # not reaped yet, so the number is still its own
                os.killpg(self.pid, SIGKILL)
            except ProcessLookupError:
                return

    def _ended(self) -> None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return
        self._status = status
        self._duration_us = (time.monotonic_ns() - self._began) // 1000
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        if self._timer:
            self._loop.cancel(self._timer)
            self._timer = 0
        self._close_input()
        for descriptor in self._kinds:
            # all that it wrote itself is in the pipe by now
            self._owed[descriptor] = int.from_bytes(fcntl.ioctl(descriptor, _FIONREAD, bytes(4)), "little")
        if self._kinds:
            self._loop.call_in(EXIT_GRACE_MS, self._grace_ended)
        self._report()

    def _grace_ended(self) -> None:
        self._grace_over = True
        self._report()

    def _report(self) -> None:
        if not self._attached:
            return
        if self._kinds and (not self._grace_over or any(owed > 0 for owed in self._owed.values())):
            return
        status = self._status or 0
        signal = status & 0x7F
        code = 128 + signal if signal else status >> 8
        payload = wire.EXIT.pack(code, signal, self._timed_out, self._duration_us)
        self._session.send(self._stream, wire.EXITED, payload)
        self._session.forget(self._stream)
        self.lost()

    def close(self) -> None:
        """Kills its process group; whatever it still prints is dropped."""
        self._kill()
        self.lost()

    def lost(self) -> None:
        """Nobody listens any more: it runs on, sees the end of its input, and what it prints is dropped."""
        self._attached = False
        self.end()
        self._go_on()


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)

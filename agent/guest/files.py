"""Files that the host writes and reads. Only regular files: opening anything else could block, or do something."""

# pathlib would take longer to import in an emulated machine than all of this program
# ruff: noqa: PTH102, PTH104, PTH106, PTH108, PTH112, PTH115, PTH116, PTH118, PTH120

from __future__ import annotations

import os
import stat

from agent.guest import refusal, wire
from agent.guest.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.guest.session import Session

_MODE_DEFAULT = 0o644
_MODE_MASK = 0o7777
_LINKS_MAX = 40  # as many as Linux follows


class FileWriter:
    """A file on its way: it has a name of its own until it is complete, beside the one that it will replace."""

    def __init__(self, session: Session, stream: int, body: bytes) -> None:
        """Raises: Refusal, and nothing is left."""
        (self._mode,) = wire.WRITE_HEAD.unpack_from(body)
        self._session = session
        self._stream = stream
        self._size = 0
        self._to_grant = 0
        self._made: list[bytes] = []
        self._descriptor = -1
        self._path = body[wire.WRITE_HEAD.size :]
        self._temporary = b""
        try:
            target = _destination(self._path)
            folder = os.path.dirname(target)
            self._make_folders(folder)
            self._target = target
            temporary = folder + b"/.nestbox-%d-%d" % (os.getpid(), stream)
            self._descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            self._temporary = temporary
        except OSError as error:
            self.lost()
            raise refusal.of_os_error(error, self._path) from None

    def _make_folders(self, folder: bytes) -> None:
        missing = []
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for name in reversed(missing):
            os.mkdir(name, 0o755)
            self._made.append(name)

    def data(self, payload: bytes) -> None:
        """The next piece."""
        try:
            rest = payload
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._fail(error)
            return
        self._size += len(payload)
        self._to_grant += len(payload) + wire.FRAME_COST
        if self._to_grant >= wire.CREDIT_STEP:
            self._session.send(self._stream, wire.CREDIT, wire.COUNT.pack(self._to_grant))
            self._to_grant = 0

    def end(self) -> None:
        """It is complete: it takes its name."""
        try:
            os.fchmod(self._descriptor, self._mode & _MODE_MASK or _MODE_DEFAULT)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
            os.rename(self._temporary, self._target)
        except OSError as error:
            self._fail(error)
            return
        self._temporary = b""
        self._made.clear()
        self._session.send(self._stream, wire.DONE, wire.COUNT.pack(self._size))
        self._session.forget(self._stream)

    def _fail(self, error: OSError) -> None:
        self.lost()
        self._session.fail(self._stream, refusal.of_os_error(error, self._path))
        self._session.forget(self._stream)

    def credit(self, count: int) -> None:
        """Nothing is sent that would need it."""

    def close(self) -> None:
        """Leaves nothing of it."""
        self.lost()

    def lost(self) -> None:
        """Leaves nothing of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        try:
            if self._temporary:
                os.unlink(self._temporary)
            for folder in reversed(self._made):
                os.rmdir(folder)
        except OSError:
            pass  # somebody else has moved it or uses the folder: theirs now
        self._temporary = b""
        self._made.clear()


def _destination(path: bytes) -> bytes:
    """The path of the file to replace, with links at its end followed: writing through a link keeps the link."""
    if not path.startswith(b"/") or b"\0" in path:
        raise Refusal(refusal.INVALID, "The path must be absolute and without zero bytes.")
    if path.endswith((b"/", b"/.", b"/..")):
        raise Refusal(refusal.NOT_A_FILE, "The path names a folder.")
    for _ in range(_LINKS_MAX):
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return path
        except NotADirectoryError:
            raise Refusal(refusal.NOT_A_FILE, "A part of the path is a file, not a folder.") from None
        if stat.S_ISREG(mode):
            return path
        if not stat.S_ISLNK(mode):
            raise Refusal(refusal.NOT_A_FILE, "There is something else than a regular file under this path.")
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    raise Refusal(refusal.INVALID, "The path leads through too many symbolic links.")


class FileReader:
    """A file being read, as fast as it is taken."""

    def __init__(self, session: Session, stream: int, body: bytes) -> None:
        """Opens it and says what it is. Raises: Refusal."""
        offset, self._left = wire.READ_HEAD.unpack_from(body)
        self._session = session
        self._stream = stream
        self._limited = self._left > 0
        self._credit = wire.OUTPUT_WINDOW
        self._path = body[wire.READ_HEAD.size :]
        self._scheduled = False
        self._descriptor = -1
        try:
            self._open(offset)
        except OSError as error:
            self.lost()
            raise refusal.of_os_error(error, self._path) from None
        except Refusal:
            self.lost()
            raise
        self._schedule()

    def _open(self, offset: int) -> None:
        # looked at before it is opened: opening a device can have effects, opening a FIFO wakes its other end
        _require_regular(os.stat(self._path))
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        found = os.fstat(self._descriptor)
        _require_regular(found)
        if offset:
            self._seek(offset)
        info = wire.FILE_INFO.pack(found.st_size, stat.S_IMODE(found.st_mode), max(0, found.st_mtime_ns))
        self._session.send(self._stream, wire.INFO, info)

    def _seek(self, offset: int) -> None:
        try:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
        except OSError:
            # farther than a file of this file system can reach: at the end, then
            os.lseek(self._descriptor, 0, os.SEEK_END)

    def _schedule(self) -> None:
        if not self._scheduled and self._descriptor >= 0 and self._credit > wire.FRAME_COST:
            self._scheduled = True
            if self._session.full:
                self._session.when_free(self._step)
            else:
                self._session.loop.work.append(self._step)

    def _step(self) -> None:
        self._scheduled = False
        if self._descriptor < 0:
            return
        room = min(wire.PAYLOAD_BYTES_MAX, self._credit - wire.FRAME_COST)
        if self._limited:
            room = min(room, self._left)
        try:
            data = os.read(self._descriptor, room) if room else b""
        except OSError as error:
            self.lost()
            self._session.fail(self._stream, refusal.of_os_error(error, self._path))
            self._session.forget(self._stream)
            return
        if not data:
            self.lost()
            self._session.send(self._stream, wire.END_OF_FILE)
            self._session.forget(self._stream)
            return
        self._left -= len(data)
        self._credit -= len(data) + wire.FRAME_COST
        self._session.send(self._stream, wire.CONTENT, data)
        self._schedule()

    def data(self, payload: bytes) -> None:
        """A reader takes no data."""

    def end(self) -> None:
        """A reader takes no data."""

    def credit(self, count: int) -> None:
        """The host has taken that much."""
        self._credit += count
        self._schedule()

    def close(self) -> None:
        """Lets go of the file."""
        self.lost()

    def lost(self) -> None:
        """Lets go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _require_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Refusal(refusal.NOT_A_FILE, "This is not a regular file.")

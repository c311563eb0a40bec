"""What a fuzzer begins with: a script for each thing that a guest and a host do, and one for each promise that a guest
might break. They are played in every run of the tests, beside the corpus."""

from agent.guest import wire
from tests.fuzz.clock import EPOCH_NS
from tests.fuzz.scene import HAS_LIMIT, IS_LARGE, LISTENS
from tests.fuzz.script import Act, Step, frame

HELLO = Step(Act.HELLO)
STARTED = frame(1, wire.STARTED, wire.PID.pack(7))
OUTPUT = frame(1, wire.STDOUT, b"x")
EXITED = frame(1, wire.EXITED, wire.EXIT.pack(0, 0, 0, 5))
INFO = frame(1, wire.INFO, wire.FILE_INFO.pack(100, 0o644, 0))
CONTENT = frame(1, wire.CONTENT, b"x" * 11)
FILE_END = frame(1, wire.END_OF_FILE)
CLOSED = frame(1, wire.CLOSED)
LISTENED = Step(Act.EXEC, LISTENS)
QUIET = Step(Act.EXEC, 0)
LARGE = Step(Act.EXEC, IS_LARGE)
READ = Step(Act.READ, LISTENS)
IDENTIFIED = Step(Act.IDENTIFY)
PING = Step(Act.PING)
NEXT = Step(Act.NEXT)
LARGE_INPUT = Step(Act.INPUT, 65_535)
LARGE_FILE = Step(Act.WRITE, 65_535)
TOO_OFTEN = Step(Act.REPEAT, 5_000)  # more than the frames of any window


def _done(stream: int = 1, payload: bytes = b"") -> Step:
    return frame(stream, wire.DONE, payload)


def _now(stream: int, behind_ns: int = 0) -> Step:
    return _done(stream, wire.TIME.pack(EPOCH_NS - behind_ns))


def _refused(payload: bytes) -> Step:
    return frame(1, wire.FAILED, payload)


def _credit(count: int) -> Step:
    return frame(1, wire.CREDIT, wire.COUNT.pack(count))


_OPENING: dict[str, list[Step]] = {
    "silence": [],
    "a preamble": [HELLO],
    "a late preamble": [Step(Act.WAIT, 3), HELLO],
    "junk, then a preamble": [Step(Act.SAY, 0, b"junk"), HELLO],
    "half a preamble, then a whole one": [Step(Act.SAY, 0, wire.MAGIC), HELLO],
    "no end of junk": [Step(Act.FILL, 65_535), TOO_OFTEN],
}
_COMMANDS: dict[str, list[Step]] = {
    "a command": [LISTENED, STARTED, OUTPUT, frame(1, wire.STDERR, b"!"), EXITED],
    "a command that outlives its timeout": [Step(Act.EXEC, LISTENS | HAS_LIMIT), STARTED, Step(Act.WAIT, 4)],
    "a command that cannot be started": [QUIET, _refused(b"COMMAND_NOT_FOUND\0no such"), NEXT, NEXT],
    "a command that is closed": [QUIET, STARTED, NEXT, OUTPUT, NEXT, Step(Act.CLOSE), OUTPUT, CLOSED],
    "input, and credit for it": [QUIET, STARTED, LARGE_INPUT, LARGE_INPUT, LARGE_INPUT, _credit(100), EXITED, NEXT],
    "an end while input is held": [QUIET, STARTED, Step(Act.QUIESCE), LARGE_INPUT, EXITED, Step(Act.RELEASE)],
    "the end of input": [QUIET, STARTED, Step(Act.END_INPUT), EXITED, NEXT],
    "a frame in pieces": [LISTENED, STARTED, frame(1, wire.STDOUT, length=32_768), Step(Act.FILL, 32_768), EXITED],
    "output that nobody takes": [QUIET, STARTED, OUTPUT, TOO_OFTEN],
    "large output that nobody takes": [
        *(QUIET, STARTED, frame(1, wire.STDOUT, length=16_384), Step(Act.FILL, 16_384)),
        *[frame(1, wire.STDOUT, length=16_384), Step(Act.FILL, 16_384)] * 16,
    ],
    "empty output": [LISTENED, STARTED, frame(1, wire.STDOUT)],
    "output before the start": [LISTENED, OUTPUT, STARTED, EXITED],
    "an end before the start": [LISTENED, EXITED],
    "no end of starts": [QUIET, STARTED, TOO_OFTEN],
    "no end of ends": [QUIET, STARTED, EXITED, TOO_OFTEN],
    "a second start": [LISTENED, STARTED, STARTED, EXITED],
    "an impossible pid": [LISTENED, frame(1, wire.STARTED, wire.PID.pack(0))],
    "an impossible exit": [LISTENED, STARTED, frame(1, wire.EXITED, wire.EXIT.pack(-1, 200, 2, 1 << 63))],
    "a malformed exit": [LISTENED, STARTED, frame(1, wire.EXITED, b"x")],
    "output, and then the end of the machine": [QUIET, STARTED, OUTPUT, Step(Act.HANG_UP), NEXT],
}
_FILES: dict[str, list[Step]] = {
    "a file": [READ, INFO, CONTENT, FILE_END],
    "more of a file than was asked for": [
        Step(Act.READ, LISTENS | HAS_LIMIT),
        INFO,
        CONTENT,
        frame(1, wire.END_OF_FILE),
    ],
    "a file that is dropped": [Step(Act.READ, 0), INFO, CONTENT, NEXT, Step(Act.DROP), CLOSED],
    "a file that is closed": [Step(Act.READ, 0), INFO, CONTENT, NEXT, Step(Act.CLOSE), CLOSED],
    "an impossible file": [READ, frame(1, wire.INFO, b"\xff" * wire.FILE_INFO.size)],
    "the end of a file that has no beginning": [READ, FILE_END],
    "a file to write": [Step(Act.WRITE, 10), _done(1, wire.COUNT.pack(80))],
    "a large file, and credit for it": [
        *(LARGE_FILE, _credit(32_768), Step(Act.REPEAT, 8), _done(1, wire.COUNT.pack(65_535 * 8)))
    ],
    "a file that was written short": [LARGE_FILE, _done(1, wire.COUNT.pack(3))],
    "a file that was written by a long story": [Step(Act.WRITE, 10), _done(1, b"x" * 1_000)],
    "a full disk": [LARGE_FILE, _refused(b"GUEST_DISK_FULL\0")],
    "a refusal with a code of the host": [READ, _refused(b"UNAUTHENTICATED\0no")],
    "a refusal with a long sentence": [READ, _refused(b"NO_SUCH_FILE\0" + b"x" * 1_000)],
    "a refusal with terminal escapes": [READ, _refused(b"NO_SUCH_FILE\0\x1b[2J\x07")],
    "a refusal with a long code": [READ, _refused(b"\x01" * 1_000)],
}
_LINK: dict[str, list[Step]] = {
    "a ping": [PING, _done()],
    "a larger disk": [Step(Act.RESIZE, 9), _done()],
    "an identity, and a clock that is late": [IDENTIFIED, _now(1, 10**8), _now(2)],
    "an identity that takes long": [
        IDENTIFIED,
        Step(Act.WAIT, 1),
        _now(1),
        Step(Act.WAIT, 1),
        _now(2),
        _now(3),
    ],
    "a time before all times": [IDENTIFIED, _done(1, wire.TIME.pack(-(1 << 63)))],
    "an impossible time": [IDENTIFIED, Step(Act.WAIT, 1), _now(1), _done(2, b"x")],
    "an identity without a time": [IDENTIFIED, _done(1, b"x")],
    "a guest that does not read": [Step(Act.DEAF, 1), LARGE, LARGE, LARGE, PING],
    "requests while the link is quiet": [Step(Act.QUIESCE), LISTENED, PING, Step(Act.RELEASE), STARTED],
    "the end of the machine while the link is quiet": [Step(Act.QUIESCE), PING, LISTENED, Step(Act.HANG_UP)],
    "output while the link is quiet": [LISTENED, Step(Act.DEAF, 1), Step(Act.QUIESCE), STARTED, Step(Act.RELEASE)],
    "more requests than may be": [Step(Act.MANY, 299), _done(1), _done(7)],
    "a request that is cancelled": [PING, Step(Act.CANCEL), CLOSED, PING, _done(2)],
    "a link that is let go": [PING, Step(Act.LET_GO), _done()],
    "a machine that ends": [LISTENED, Step(Act.HANG_UP)],
    "an answer to nobody": [PING, _done(5)],
    "a second answer": [PING, _done(), _done()],
    "an answer to something else": [LISTENED, STARTED, CONTENT],
    "an end that nobody asked for": [LISTENED, STARTED, CLOSED],
    "an unknown kind": [PING, frame(1, 99)],
    "an impossible length": [PING, frame(1, wire.DONE, length=2 * wire.PAYLOAD_BYTES_MAX), Step(Act.FILL, 65_000)],
    "malformed credit": [LISTENED, frame(1, wire.CREDIT, b"x")],
    "credit of nothing": [LISTENED, _credit(0), TOO_OFTEN],
    "credit that was not used": [QUIET, STARTED, _credit(1 << 63)],
}
SEEDS = _OPENING | {name: [HELLO, *steps] for name, steps in (_COMMANDS | _FILES | _LINK).items()}

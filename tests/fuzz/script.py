"""What a fuzzer's bytes mean: steps of a guest, which may say anything, and of a host, which asks for something.

A step is its kind (`u8`), an operand (`u16`, little-endian) and, for `SAY`, as many bytes as the operand says. Any
bytes are a script: kinds count modulo their number, and what is cut off at the end is as long as it is.
"""

from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from agent.guest import wire

STEPS_MAX = 64
_HEAD = Struct("<BH")


class Act(IntEnum):
    """The operand stands behind the colon, where there is one."""

    # of the guest
    HELLO = 0  # answers the last preamble that it heard
    SAY = 1  # bytes: how many
    FILL = 2  # zeros: how many
    REPEAT = 3  # what it said last: how often
    DEAF = 4  # reads nothing from now on, if odd
    HANG_UP = 5
    # of the host
    WAIT = 6  # an index of WAITS_SECONDS
    EXEC = 7  # bits: listens, has a timeout, has large arguments
    READ = 8  # bits: listens, has a limit
    WRITE = 9  # size of the content, in units of 8 bytes
    PING = 10
    IDENTIFY = 11
    RESIZE = 12
    INPUT = 13  # to the newest command: how many bytes
    END_INPUT = 14
    NEXT = 15  # an event or a piece of the newest one that is not listened to
    CLOSE = 16  # what is newest
    DROP = 17  # the newest file, without closing it
    CANCEL = 18  # the newest request
    QUIESCE = 19
    RELEASE = 20
    MANY = 21  # requests: how many
    LET_GO = 22


WAITS_SECONDS = (0.002, 0.5, 3.0, 11.0, 61.0, 3_700.0)


class Step(NamedTuple):
    """One of a script. That of `SAY` has no operand but the length of its data."""

    act: Act
    operand: int = 0
    data: bytes = b""


def read(data: bytes) -> list[Step]:
    """The steps that these bytes mean, `STEPS_MAX` at most."""
    steps: list[Step] = []
    start = 0
    while start + _HEAD.size <= len(data) and len(steps) < STEPS_MAX:
        kind, operand = _HEAD.unpack_from(data, start)
        start += _HEAD.size
        act = Act(kind % len(Act))
        said = data[start : start + operand] if act is Act.SAY else b""
        start += len(said)
        steps.append(Step(act, 0 if act is Act.SAY else operand, said))
    return steps


def written(steps: Iterable[Step]) -> bytes:
    """The bytes that mean these steps."""
    return b"".join(
        _HEAD.pack(step.act, len(step.data) if step.act is Act.SAY else step.operand) + step.data for step in steps
    )


def frame(stream: int, kind: int, payload: bytes = b"", *, length: int | None = None) -> Step:
    """The guest sends a frame, which may claim another length than it has."""
    head = wire.HEADER.pack(len(payload) if length is None else length, stream, kind)
    return Step(Act.SAY, 0, head + payload)

"""Bringing a guest's clock near the host's, over a link on which a message takes its time.

A machine that has just been cloned takes a tenth of a second and more to hear what it is told and to say that it did,
most of it for translating its own code, so the time that it is told is late by some of that. Its clock was set and read
between message and answer: taking the middle of both for the moment is wrong by half of what they took, at most. Where
that is too much it is asked again, which takes milliseconds.
"""

import time
from collections.abc import Awaitable, Callable

TRUSTED_NS = 60_000_000
"""An answer that took no longer is good enough: the clock is wrong by no more than half of that afterwards."""
QUESTIONS_MAX = 3
"""On a computer with so much to do that no answer comes quickly, the quickest must do."""
STEP_NS_MIN = 5_000_000
"""Less is not worth a step of the clock."""
STEP_NS_MAX = 3_600 * 10**9
"""More is no delay but a guest that lies."""


async def error_ns(told_ns: int, read_ns: int, ask: Callable[[], Awaitable[int]]) -> int:
    """By how much a guest's clock is behind, if that is worth a step, else 0. It was set to `told_ns` when that was the
    time here, and said `read_ns` in an answer that came just now; `ask` reads it again."""
    now = time.time_ns()
    took, behind = now - told_ns, (told_ns + now) // 2 - read_ns
    for _ in range(QUESTIONS_MAX):
        if took <= TRUSTED_NS:
            break
        asked = time.time_ns()
        read_ns = await ask()
        answered = time.time_ns()
        if answered - asked < took:
            took, behind = answered - asked, (asked + answered) // 2 - read_ns
    return behind if STEP_NS_MIN <= abs(behind) <= STEP_NS_MAX else 0

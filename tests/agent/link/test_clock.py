"""How wrong a guest's clock is, from questions and answers that take their time."""

import time

from agent.link import clock

SLOW_NS, QUICK_NS = 400_000_000, 2_000_000
TOLERANCE_NS = 30_000_000  # this computer is busy


class Guest:
    """A clock that is behind by so much; its answers come at once, as if they had been on their way for so long."""

    def __init__(self, behind_ns: int) -> None:
        self.behind_ns = behind_ns
        self.asked = 0

    async def read(self) -> int:
        self.asked += 1
        return time.time_ns() - self.behind_ns


async def test_a_quick_answer_needs_no_question() -> None:
    guest, told = Guest(0), time.time_ns() - QUICK_NS
    assert await clock.error_ns(told, told + QUICK_NS // 2, guest.read) == 0
    assert guest.asked == 0


async def test_after_a_slow_answer_the_clock_is_read_again() -> None:
    guest, told = Guest(SLOW_NS), time.time_ns() - SLOW_NS
    behind = await clock.error_ns(told, told, guest.read)
    assert abs(behind - SLOW_NS) < TOLERANCE_NS
    assert guest.asked == 1
    ahead = await clock.error_ns(told, told, Guest(-SLOW_NS).read)
    assert abs(ahead + SLOW_NS) < TOLERANCE_NS


async def test_a_guest_that_lies_steps_nothing() -> None:
    for lie in (1 << 62, -(1 << 62), 2 * clock.STEP_NS_MAX):
        guest = Guest(lie)
        assert await clock.error_ns(time.time_ns() - SLOW_NS, 0, guest.read) == 0
        assert guest.asked <= clock.QUESTIONS_MAX

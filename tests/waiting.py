"""Waiting for a condition with a deadline: the one place where a test may sleep."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

DEADLINE_SECONDS = 20.0
POLL_SECONDS = 0.005


async def eventually(
    holds: Callable[[], bool] | Callable[[], Awaitable[bool]],
    seconds: float = DEADLINE_SECONDS,
    *,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Returns as soon as it holds; fails when the time is over. What is dear to find out is looked at less often."""
    until = time.monotonic() + seconds
    while True:
        answer = holds()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        assert time.monotonic() < until, "it did not come about"
        await asyncio.sleep(poll_seconds)

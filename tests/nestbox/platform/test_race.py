import asyncio

import pytest

from nestbox.errors import Problem
from nestbox.platform.race import run_until


async def value(result: int) -> int:
    return result


async def test_work_that_is_done_gives_its_result() -> None:
    assert await run_until(asyncio.Event().wait(), value(42)) == 42


async def test_work_that_is_stopped_is_cancelled_and_gives_none() -> None:
    cancelled = asyncio.Event()

    async def work() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 42

    assert await run_until(asyncio.sleep(0), work()) is None
    assert cancelled.is_set()


async def test_an_error_comes_out_as_it_is() -> None:
    async def fail() -> int:
        raise Problem("no")

    with pytest.raises(Problem, match="no"):
        await run_until(asyncio.Event().wait(), fail())
    with pytest.raises(Problem, match="no"):
        await run_until(fail(), asyncio.Event().wait())


async def test_cancelling_it_cancels_both() -> None:
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await run_until(wait("stop"), wait("work"))
    assert sorted(ended) == ["stop", "work"]

"""No task of the services takes another one down."""

import asyncio
from collections.abc import Callable

import pytest

from api.errors import Unavailable
from api.services.tasks import Tasks
from tests.waiting import eventually


@pytest.mark.parametrize("error", [RuntimeError("a bug"), Unavailable("Not now."), asyncio.CancelledError()])
@pytest.mark.parametrize("is_waited_for", [True, False])
async def test_a_task_that_fails_ends_alone(error: BaseException, is_waited_for: bool) -> None:
    go_on, ended = asyncio.Event(), []

    async def failing() -> None:
        raise error

    async def other() -> None:
        await go_on.wait()
        ended.append("other")

    async with Tasks() as tasks:
        tasks.command("other", other())
        if is_waited_for:
            await tasks.finish("failing", failing())
        else:
            tasks.command("failing", failing())
            await eventually(_is_over(tasks, 1))
        # what took the group down would have cancelled it by now
        await tasks.finish("another", asyncio.sleep(0))
        go_on.set()
        await eventually(lambda: ended == ["other"])
        assert not tasks.failed.is_set()


def _is_over(tasks: Tasks, left: int) -> Callable[[], bool]:
    return lambda: len(tasks._commands) == left

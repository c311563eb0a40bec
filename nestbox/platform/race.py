"""Work that ends early when something else happens."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def run_until(stop: Coroutine[Any, Any, object], work: Coroutine[Any, Any, T]) -> T | None:
    """Runs `work` until it is done or `stop` is; the other one is cancelled and awaited. None when `stop` came first.

    Raises: what `work` or `stop` raises, as it is. May be cancelled; then both are.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            worker = tasks.create_task(work)
            stopper = tasks.create_task(stop)
            await asyncio.wait({worker, stopper}, return_when=asyncio.FIRST_COMPLETED)
            worker.cancel()
            stopper.cancel()
    except BaseExceptionGroup as group:
        raise first_of(group) from None
    return None if worker.cancelled() else worker.result()


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group of errors: the ones after it are mostly its consequences."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

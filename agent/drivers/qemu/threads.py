"""Work of threads, which nobody can stop: whoever began it goes on when it has ended."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from agent.drivers.qemu.launch import settled

COPIES = ThreadPoolExecutor(2, "copies")
"""For copies of whole disks, which take as long as they are large: nothing short waits behind them."""
P = ParamSpec("P")
T = TypeVar("T")


async def by(executor: Executor | None, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """As `asyncio.to_thread`, but a cancellation or a deadline counts when the function has ended: what it made can be
    undone then. `executor` None: the loop's, where it may wait for other work."""
    work = asyncio.get_running_loop().run_in_executor(executor, lambda: function(*args, **kwargs))
    return await settled(work)


@contextlib.contextmanager
def own_thread() -> Iterator[Executor]:
    """For what is done while a machine stands still: it waits for nobody else's work."""
    executor = ThreadPoolExecutor(1, "standing-still")
    try:
        executor.submit(int).result()  # it is there already
        yield executor
    finally:
        executor.shutdown(wait=False)

"""Tasks that outlive the requests that started them."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import structlog

from api.errors import NestboxError

DRAIN_SECONDS = 8.0
"""For commands under way when the server stops; what is left is resolved from the host's inventory later."""

_log = structlog.get_logger()


class Tasks:
    """The owner of every task of the services. None of them can take another one down.

    `failed` is set when one that must never end has ended: the server is then of no use, and has to be started again.
    """

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._commands: set[asyncio.Task[None]] = set()
        self._services: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._services:
            task.cancel()
        if self._commands:
            await asyncio.wait(self._commands, timeout=DRAIN_SECONDS)
        for task in self._commands:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def command(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Starts something that ends by itself; stopping waits for it a little."""
        self._start(name, _contained(name, work), self._commands)

    async def finish(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """As `command`; returns when it is over, however it ended. Cancelling the caller does not cancel it."""
        done = asyncio.Event()

        async def told() -> None:
            try:
                await _contained(name, work)
            finally:
                done.set()

        self._start(name, told(), self._commands)
        await done.wait()

    def service(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Starts something that runs until the server stops."""
        self._start(name, self._unending(name, work), self._services)

    async def _unending(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
            _log.critical("task ended that must not", task=name)
        except Exception:  # noqa: BLE001
            # whoever runs the server sees the flag: the group would only end when everything else has
            _log.critical("task failed that must not", task=name, exc_info=True)
        self.failed.set()

    def _start(self, name: str, work: Coroutine[Any, Any, None], kept: set[asyncio.Task[None]]) -> None:
        task = self._group.create_task(work, name=name)
        kept.add(task)
        task.add_done_callback(kept.discard)


async def _contained(name: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except NestboxError as error:
        _log.warning("task failed", task=name, code=error.code, error=error.message, detail=error.detail)
    except Exception:  # noqa: BLE001
        # a bug in one command must not end the group, and with it all others
        _log.exception("task failed", task=name)

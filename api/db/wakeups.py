"""Wake-ups: `NOTIFY` without content, which says no more than that the event log is worth a look.

A wake-up may be lost, doubled or late: readers poll as well. NOTIFY takes a lock that all commits of the server share,
so it is not sent by each commit, but by one sender per replica: the first at once, then at most one per period.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncpg
import structlog

from api.db.database import Database
from api.db.errors import translated
from api.errors import NestboxError

CHANNEL = "nestbox_events"
PERIOD_SECONDS = 0.020
RECONNECT_SECONDS = 0.5

_log = structlog.get_logger()


class Waker:
    """Tells every replica that the log has grown. Call `wake` after a commit; it never waits."""

    def __init__(self, database: Database, on_wake: Callable[[], None]) -> None:
        """`on_wake` is called at once for this replica's own reader, which needs no round trip."""
        self._database = database
        self._on_wake = on_wake
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """Sends a wake-up soon."""
        self._on_wake()
        self._wanted.set()

    async def run(self) -> None:
        """Sends, until cancelled, over a connection of its own."""
        while True:
            try:
                await self._send()
            except NestboxError as error:
                _log.warning("wake-ups cannot be sent", error=error.detail)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _send(self) -> None:
        connection = await self._database.connect()
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                with translated():
                    await connection.execute(f"NOTIFY {CHANNEL}")
                await asyncio.sleep(PERIOD_SECONDS)
        finally:
            connection.terminate()


class Listener:
    """Calls back at each wake-up of any replica."""

    def __init__(self, database: Database, on_wake: Callable[[], None]) -> None:
        self._database = database
        self._on_wake = on_wake

    async def run(self) -> None:
        """Listens until cancelled, and again after a lost connection; then it calls back too, since something may have
        been missed."""
        while True:
            try:
                await self._listen()
            except NestboxError as error:
                _log.warning("wake-ups cannot be heard", error=error.detail)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await self._database.connect()
        lost = asyncio.Event()

        def heard(*_: object) -> None:
            self._on_wake()

        def ended(_: object) -> None:
            lost.set()

        try:
            connection.add_termination_listener(ended)
            with translated():
                await connection.add_listener(CHANNEL, heard)
            self._on_wake()
            await lost.wait()
        finally:
            with suppress(asyncpg.InterfaceError):
                connection.remove_termination_listener(ended)
            connection.terminate()

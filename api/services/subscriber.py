"""What one subscriber has been shown, and what it is still to be told."""

import asyncio
from collections.abc import Callable, Iterator
from uuid import UUID

from api.db.events import Cursor
from api.domain.feed import Changed, FeedEvent, Removed, RemovedReason
from api.domain.sandbox import Sandbox, SandboxFilter, State

_GONE = -1


class Subscriber:
    """One stream. What waits for it is bounded by the number of sandboxes: of each only the newest record is kept."""

    def __init__(self, reader_cursor: Callable[[], Cursor]) -> None:
        """`reader_cursor` says how far the reader of the log is: with nothing waiting, the stream is as far."""
        self.news = asyncio.Event()
        self._reader_cursor = reader_cursor
        self._told = reader_cursor()
        self._offered = self._told
        self._waiting: dict[UUID, Sandbox] = {}
        self._shown: dict[UUID, int] = {}
        self._knows_all = True

    @property
    def cursor(self) -> Cursor:
        """Everything up to here has been told."""
        return self._told if self._waiting else max(self._told, self._reader_cursor())

    def show(self, sandbox: Sandbox) -> None:
        """Notes that the client has this record."""
        self._shown[sandbox.id] = sandbox.version

    def resume(self, since: Cursor) -> None:
        """The client says that it has everything up to there: what it was shown then is not known here."""
        self._told = min(since, self._told)
        self._knows_all = False

    def offer(self, sandbox: Sandbox) -> None:
        """Something to tell; a newer record of the same sandbox replaces it."""
        waiting = self._waiting.get(sandbox.id)
        if waiting is None or waiting.version <= sandbox.version:
            self._waiting[sandbox.id] = sandbox

    def advance(self, cursor: Cursor) -> None:
        """All that was offered is what happened up to this cursor."""
        self._offered = max(self._offered, cursor)
        self.news.set()

    def take(self, criteria: SandboxFilter) -> Iterator[FeedEvent]:
        """What is to be told now, oldest first. A cursor covers what was told before it, and no more: only the last
        event carries the new one."""
        self.news.clear()
        while self._waiting:
            sandbox = self._waiting.pop(next(iter(self._waiting)))
            cursor = self._told if self._waiting else max(self._told, self._offered)
            event = self._event(sandbox, criteria, cursor)
            if not self._waiting:
                self._told = cursor
            if event is not None:
                yield event

    def _event(self, sandbox: Sandbox, criteria: SandboxFilter, cursor: Cursor) -> FeedEvent | None:
        shown = self._shown.get(sandbox.id)
        if shown is not None and shown >= sandbox.version:
            return None
        if criteria.matches(sandbox):
            self._shown[sandbox.id] = sandbox.version
            return Changed(sandbox, str(cursor))
        if shown == _GONE or (shown is None and self._knows_all):
            return None
        if self._knows_all:
            del self._shown[sandbox.id]
        else:
            self._shown[sandbox.id] = _GONE
        reason = RemovedReason.DELETED if sandbox.state is State.DELETED else RemovedReason.FILTERED
        return Removed(sandbox.id, str(cursor), reason)

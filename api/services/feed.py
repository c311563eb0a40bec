"""Live views of sandboxes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from uuid import UUID

import structlog

from api.clock import Clock
from api.db import events, sandboxes
from api.db.database import Database
from api.db.events import Cursor
from api.domain.feed import Changed, FeedEvent, Heartbeat, Removed, RemovedReason, Reset
from api.domain.principal import Principal, Scope, require
from api.domain.sandbox import Sandbox, SandboxFilter, State
from api.errors import NestboxError, Unavailable
from api.services.operation_feed import OperationFeed
from api.services.places import no_such_sandbox
from api.services.quota_feed import QuotaFeed
from api.services.quotas import Quotas
from api.services.streams import HEARTBEAT_SECONDS, happens
from api.services.subscriber import Subscriber

POLL_SECONDS = 1.0
"""The log is read at least this often: a lost wake-up costs no more."""
WAITING_SECONDS_MIN = 0.01
"""While lines wait for an older transaction to end, which sends no wake-up; twice as long at each look."""
WAITING_SECONDS_MAX = 0.25
RETRY_SECONDS = 0.25
"""After the database did not answer."""
RESET_MAX = 1000
"""Sandboxes in a snapshot, and changes with which a stream is resumed without one."""

_EVERYTHING = SandboxFilter(states=frozenset((*State, "unreachable")))

_log = structlog.get_logger()


class Feed:
    """One reader of the event log per replica, and any number of subscribers.

    The reader loads each sandbox that changed once, and hands the same record to all. A slow subscriber misses versions
    of a sandbox, never the newest one. Versions of a sandbox never go back.

    A stream does not end when its caller is shut out: whoever hands it on ends it (`Auth.holding`).
    """

    def __init__(self, database: Database, clock: Clock, quotas: Quotas) -> None:
        self._database = database
        self._clock = clock
        self._wanted = asyncio.Event()
        self._cursor: Cursor | None = None
        self._started = asyncio.Event()
        self._waiting_seconds = WAITING_SECONDS_MIN
        self._subscribers: dict[UUID, set[Subscriber]] = {}
        self.operations = OperationFeed(database, clock, self._current)
        self.quotas = QuotaFeed(quotas, clock, self._current)

    def wake(self) -> None:
        """The log may have grown."""
        self._wanted.set()

    async def run(self) -> None:
        """Reads the log until cancelled. While the database is away, subscribers hear nothing but heartbeats."""
        while True:
            self._wanted.clear()
            try:
                pause_seconds = await self._read()
            except NestboxError as error:
                _log.warning("event log not read", error=error.detail)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if pause_seconds:
                await happens(self._wanted, pause_seconds)

    async def _read(self) -> float:
        """One batch; how long to wait for the next, unless woken."""
        if self._cursor is None:
            self._cursor = await events.horizon(self._database)
            self._started.set()
        batch = await events.read(self._database, self._cursor)
        if batch.sandbox_ids:
            if not self._subscribers:
                changed: tuple[Sandbox, ...] = ()
            else:
                changed = await sandboxes.load(self._database, batch.sandbox_ids)
            self._hand_out(changed, batch.cursor)
        await self.operations.changed(batch.operation_ids, batch.sandbox_ids)
        self.quotas.changed(batch.team_ids)
        self._cursor = batch.cursor
        if batch.full:
            return 0
        if batch.sandbox_ids or not batch.waiting:
            self._waiting_seconds = WAITING_SECONDS_MIN
        if not batch.waiting:
            return POLL_SECONDS
        pause_seconds = self._waiting_seconds
        self._waiting_seconds = min(2 * pause_seconds, WAITING_SECONDS_MAX)
        return pause_seconds

    def _hand_out(self, changed: Iterable[Sandbox], cursor: Cursor) -> None:
        touched: set[Subscriber] = set()
        for sandbox in changed:
            for topic in (sandbox.team_id, sandbox.id):
                for subscriber in self._subscribers.get(topic, ()):
                    subscriber.offer(sandbox)
                    touched.add(subscriber)
        for subscriber in touched:
            subscriber.advance(cursor)

    async def sandbox(self, principal: Principal, sandbox_id: UUID) -> AsyncGenerator[FeedEvent, None]:
        """The sandbox as it is (`Changed`), then every change; ends after it is deleted (`Removed`).

        Raises:
            MissingScope: the caller may not read. NotFound: no such sandbox. Unavailable.
        """
        require(principal, Scope.READ)
        subscriber = await self._subscribe(sandbox_id)
        try:
            sandbox = await sandboxes.get(self._database, principal.team_id, sandbox_id)
            if sandbox is None:
                raise no_such_sandbox()
            subscriber.show(sandbox)
            yield Changed(sandbox, str(subscriber.cursor))
            if sandbox.state is State.DELETED:
                yield Removed(sandbox_id, str(subscriber.cursor), RemovedReason.DELETED)
                return
            async for event in self._follow(subscriber, _EVERYTHING):
                yield event
                if isinstance(event, Changed) and event.sandbox.state is State.DELETED:
                    yield Removed(sandbox_id, event.cursor, RemovedReason.DELETED)
                    return
        finally:
            self._unsubscribe(sandbox_id, subscriber)

    async def sandboxes(
        self, principal: Principal, criteria: SandboxFilter, after: str | None = None
    ) -> AsyncGenerator[FeedEvent, None]:
        """The list (`Reset`), then its changes. With `after`, a cursor from an earlier stream, a `Heartbeat` at
        once and then only what changed since; a `Reset` all the same if the log does not reach back so far.

        Raises:
            MissingScope: the caller may not read. Invalid: `after` is no cursor. Unavailable.
        """
        require(principal, Scope.READ)
        since = None if after is None else Cursor.parse(after)
        subscriber = await self._subscribe(principal.team_id)
        try:
            resumed = since is not None and await self._resume(subscriber, principal, since)
            if resumed:
                # nothing may have happened since, and the client is to know that it hears what does
                yield Heartbeat(str(subscriber.cursor), self._clock.now())
            else:
                yield await self._reset(subscriber, principal, criteria, expired=since is not None)
            async for event in self._follow(subscriber, criteria):
                yield event
        finally:
            self._unsubscribe(principal.team_id, subscriber)

    async def _reset(
        self, subscriber: Subscriber, principal: Principal, criteria: SandboxFilter, *, expired: bool
    ) -> Reset:
        # read after subscribing: what changes from here on is handed to the subscriber as well
        found = await sandboxes.snapshot(self._database, principal.team_id, criteria, RESET_MAX + 1)
        shown = found[:RESET_MAX]
        for sandbox in shown:
            subscriber.show(sandbox)
        return Reset(shown, str(subscriber.cursor), truncated=len(found) > RESET_MAX, expired=expired)

    async def _resume(self, subscriber: Subscriber, principal: Principal, since: Cursor) -> bool:
        changed = await events.changed_since(self._database, principal.team_id, since, RESET_MAX)
        if changed is None:
            return False
        sandbox_ids, _ = changed
        found = await sandboxes.get_many(self._database, principal.team_id, sandbox_ids) if sandbox_ids else {}
        subscriber.resume(since)
        for sandbox in found.values():
            subscriber.offer(sandbox)
        if found:
            subscriber.advance(subscriber.cursor)
        return True

    async def _follow(self, subscriber: Subscriber, criteria: SandboxFilter) -> AsyncIterator[FeedEvent]:
        told_at = self._clock.monotonic()
        while True:
            for event in subscriber.take(criteria):
                yield event
                told_at = self._clock.monotonic()
            # much may happen in a team of which this filter lets nothing through
            silent_seconds = self._clock.monotonic() - told_at
            if silent_seconds >= HEARTBEAT_SECONDS:
                yield Heartbeat(str(subscriber.cursor), self._clock.now())
                told_at = self._clock.monotonic()
            else:
                await happens(subscriber.news, HEARTBEAT_SECONDS - silent_seconds)

    async def _subscribe(self, topic: UUID) -> Subscriber:
        if not await happens(self._started, 1.0):
            raise Unavailable("The database does not answer at the moment; try again.")
        subscriber = Subscriber(self._current)
        self._subscribers.setdefault(topic, set()).add(subscriber)
        return subscriber

    def _unsubscribe(self, topic: UUID, subscriber: Subscriber) -> None:
        subscribers = self._subscribers[topic]
        subscribers.discard(subscriber)
        if not subscribers:
            del self._subscribers[topic]

    def _current(self) -> Cursor:
        return self._cursor or Cursor(0, 0)

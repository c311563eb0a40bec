"""What subscribers are told."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from uuid import UUID

import pytest

from agent.drivers.simulated.faults import Hang
from api.domain.feed import Changed, FeedEvent, Heartbeat, Removed, RemovedReason, Reset
from api.domain.principal import Principal
from api.domain.sandbox import CreateSandbox, SandboxFilter, State
from api.errors import Invalid, NotFound
from api.ids import new_id
from api.services import feed, operation_feed, quota_feed
from api.services.feed import Feed
from tests.agent.serving import Served
from tests.api.running import Running, other_team, principal_of
from tests.waiting import eventually


class Listening:
    """A subscriber that keeps everything it hears."""

    def __init__(self) -> None:
        self.heard: list[FeedEvent] = []

    def states(self, sandbox_id: UUID) -> list[State]:
        return [e.sandbox.state for e in self.heard if isinstance(e, Changed) and e.sandbox.id == sandbox_id]

    def versions(self, sandbox_id: UUID) -> list[int]:
        return [e.sandbox.version for e in self.heard if isinstance(e, Changed) and e.sandbox.id == sandbox_id]

    async def hears(self, kind: type[FeedEvent], count: int = 1) -> None:
        await eventually(lambda: sum(isinstance(event, kind) for event in self.heard) >= count)


@asynccontextmanager
async def listening(events: AsyncIterator[FeedEvent]) -> AsyncIterator[Listening]:
    found = Listening()

    async def listen() -> None:
        async for event in events:
            found.heard.append(event)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(listen())
        yield found
        task.cancel()


def sandboxes(running: Running, principal: Principal | None = None, **arguments: object) -> AsyncIterator[FeedEvent]:
    after = arguments.pop("after", None)
    criteria = SandboxFilter(**arguments)  # type: ignore[arg-type]
    return running.services.feed.sandboxes(principal or running.principal, criteria, after)  # type: ignore[arg-type]


async def test_a_list_begins_with_what_is_there_and_goes_on_with_changes(running: Running) -> None:
    old = await running.created(name="old")
    async with listening(sandboxes(running)) as told:
        await told.hears(Reset)
        reset = told.heard[0]
        assert isinstance(reset, Reset)
        assert [sandbox.id for sandbox in reset.sandboxes] == [old.id]
        assert not reset.truncated
        new = await running.created(name="new")
        await eventually(lambda: told.states(new.id)[-1:] == [State.RUNNING])
        await running.services.sandboxes.pause(running.principal, old.id)
        await eventually(lambda: told.states(old.id)[-1:] == [State.PAUSED])
        await running.services.sandboxes.delete(running.principal, new.id)
        await told.hears(Removed)
    removed = told.heard[-1]
    assert isinstance(removed, Removed)
    assert (removed.id, removed.reason) == (new.id, RemovedReason.DELETED)
    for sandbox in (old, new):
        assert told.versions(sandbox.id) == sorted(set(told.versions(sandbox.id)))


async def test_a_filter_tells_what_enters_and_what_leaves(running: Running) -> None:
    sandbox = await running.created(name="wanted")
    other = await running.created(name="unwanted, by the case of letters")
    async with listening(sandboxes(running, states=frozenset({State.RUNNING}), name_contains="WANTED")) as told:
        await told.hears(Reset)
        await running.services.sandboxes.pause(running.principal, sandbox.id)
        await told.hears(Removed)
        await running.services.sandboxes.resume(running.principal, sandbox.id)
        await eventually(lambda: told.states(sandbox.id) == [State.RUNNING])
    removed = [event for event in told.heard if isinstance(event, Removed)]
    assert [(event.id, event.reason) for event in removed] == [(sandbox.id, RemovedReason.FILTERED)]
    assert told.states(other.id) == []


async def test_another_team_hears_nothing(running: Running) -> None:
    stranger = await principal_of(running.services, await other_team(running.database))
    async with listening(sandboxes(running, stranger)) as theirs, listening(sandboxes(running)) as mine:
        await theirs.hears(Reset)
        await mine.hears(Reset)
        sandbox = await running.created()
        await eventually(lambda: mine.states(sandbox.id)[-1:] == [State.RUNNING])
        own = await running.services.sandboxes.create(stranger, CreateSandbox())
        await eventually(lambda: theirs.states(own.sandbox.id)[-1:] == [State.RUNNING])
    assert theirs.states(sandbox.id) == []
    assert mine.states(own.sandbox.id) == []


async def test_a_stream_is_resumed_after_its_cursor(running: Running) -> None:
    kept, gone = await running.created(name="kept"), await running.created(name="gone")
    async with listening(sandboxes(running)) as before:
        await before.hears(Reset)
    reset = before.heard[0]
    assert isinstance(reset, Reset)
    await running.services.sandboxes.pause(running.principal, kept.id)
    await running.services.sandboxes.delete(running.principal, gone.id)
    async with listening(sandboxes(running, after=reset.cursor)) as later:
        await later.hears(Changed)
        await later.hears(Removed)
        assert not any(isinstance(event, Reset) for event in later.heard)
        assert later.states(kept.id)[-1] is State.PAUSED
        last = later.heard[-1]
    assert not isinstance(last, Reset)
    await running.services.sandboxes.resume(running.principal, kept.id)
    async with listening(sandboxes(running, after=last.cursor)) as latest:
        await latest.hears(Heartbeat)
        assert isinstance(latest.heard[0], Heartbeat)
        await eventually(lambda: latest.states(kept.id)[-1:] == [State.RUNNING])


async def test_a_resumed_stream_says_at_once_that_it_is_live(running: Running) -> None:
    await running.created()
    async with listening(sandboxes(running)) as before:
        await before.hears(Reset)
    reset = before.heard[0]
    assert isinstance(reset, Reset)
    async with asyncio.timeout(1), listening(sandboxes(running, after=reset.cursor)) as later:
        await later.hears(Heartbeat)
        assert not any(isinstance(event, Reset) for event in later.heard)


async def test_a_cursor_from_elsewhere_leads_to_a_reset_or_an_error(running: Running) -> None:
    async with listening(sandboxes(running, after="99999999.0")) as told:
        await told.hears(Reset)
    with pytest.raises(Invalid):
        await anext(sandboxes(running, after="forged"))


async def test_one_sandbox_is_followed_to_its_end(running: Running) -> None:
    sandbox = await running.created()
    told: list[FeedEvent] = []
    async with asyncio.timeout(20):
        async for event in running.services.feed.sandbox(running.principal, sandbox.id):
            told.append(event)
            if len(told) == 1:
                await running.services.sandboxes.delete(running.principal, sandbox.id, wait_seconds=0)
    assert isinstance(told[0], Changed)
    assert told[0].sandbox == sandbox
    assert isinstance(told[-1], Removed)
    assert told[-1].reason is RemovedReason.DELETED


async def test_a_foreign_sandbox_cannot_be_followed(running: Running) -> None:
    stranger = await principal_of(running.services, await other_team(running.database))
    sandbox = await running.created()
    for sandbox_id in (sandbox.id, new_id()):
        with pytest.raises(NotFound):
            await anext(running.services.feed.sandbox(stranger, sandbox_id))


async def test_a_slow_reader_misses_versions_but_never_the_newest(running: Running) -> None:
    sandbox = await running.created()
    events = sandboxes(running)
    assert isinstance(await anext(events), Reset)
    for command in (running.services.sandboxes.pause, running.services.sandboxes.resume) * 3:
        await command(running.principal, sandbox.id)
    newest = await running.get(sandbox.id)
    await eventually(lambda: _has_read(running.services.feed, running, sandbox.id, newest.version))
    event = await anext(events)
    assert isinstance(event, Changed)
    assert event.sandbox.version == newest.version


def _has_read(feed: Feed, running: Running, sandbox_id: UUID, version: int) -> bool:
    (subscriber,) = feed._subscribers[running.principal.team_id]
    waiting = subscriber._waiting.get(sandbox_id)
    return waiting is not None and waiting.version == version


async def test_silence_is_filled_with_heartbeats(
    running: Running, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (feed, operation_feed, quota_feed):
        monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    sandbox, hang = await running.created(), Hang()
    served.driver.faults.inject("make_template", hang)
    begun = await running.services.templates.create(running.principal, sandbox.id, "slow", wait_seconds=0)
    feeds, principal = running.services.feed, running.principal
    streams: tuple[AsyncGenerator[object, None], ...] = (
        feeds.sandboxes(principal, SandboxFilter()),
        feeds.sandbox(principal, sandbox.id),
        feeds.operations.watch(principal, begun.operation.id),
        feeds.quotas.watch(principal),
    )
    for stream in streams:
        async with asyncio.timeout(10), aclosing(stream):
            assert not isinstance(await anext(stream), Heartbeat)
            for _ in range(2):
                while not isinstance(await anext(stream), Heartbeat):
                    pass
    hang.released.set()


async def test_what_a_filter_lets_nothing_through_of_is_silence_too(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "HEARTBEAT_SECONDS", 0.05)
    sandbox = await running.created()
    stream = sandboxes(running, name_contains="another")
    assert isinstance(await anext(stream), Reset)
    (subscriber,) = running.services.feed._subscribers[running.principal.team_id]

    async def happens_all_the_time() -> None:
        while True:
            subscriber.offer(sandbox)
            subscriber.advance(subscriber.cursor)
            await asyncio.sleep(0)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        busy = group.create_task(happens_all_the_time())
        assert isinstance(await anext(stream), Heartbeat)
        busy.cancel()


async def test_an_event_of_another_replica_is_heard(running: Running) -> None:
    sandbox = await running.created()
    async with listening(sandboxes(running)) as told:
        await told.hears(Reset)
        await running.database.execute(
            """WITH changed AS (UPDATE sandboxes SET name = 'renamed', version = version + 1 WHERE id = $1 RETURNING *)
            INSERT INTO events (at, kind, team_id, sandbox_id, actor)
            SELECT now(), 'test', team_id, id, 'test' FROM changed""",
            sandbox.id,
        )
        # more often than there is something to hear
        for _ in range(3):
            await running.database.execute("NOTIFY nestbox_events")
        await told.hears(Changed)
        # and without a wake-up, by polling
        await running.database.execute(
            """WITH changed AS (UPDATE sandboxes SET name = 'again', version = version + 1 WHERE id = $1 RETURNING *)
            INSERT INTO events (at, kind, team_id, sandbox_id, actor)
            SELECT now(), 'test', team_id, id, 'test' FROM changed""",
            sandbox.id,
        )
        await told.hears(Changed, 2)
    assert [event.sandbox.name for event in told.heard if isinstance(event, Changed)] == ["renamed", "again"]

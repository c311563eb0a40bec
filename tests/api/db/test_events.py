"""The event log is read in the order of its cursor, whatever the order of commits."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from api.db import events
from api.db.events import Cursor
from api.domain.sandbox import State
from api.errors import Invalid
from api.ids import DEFAULT_TEAM_ID
from tests.api.db.conftest import Store

_INSERT = """INSERT INTO events (at, kind, team_id, sandbox_id, actor) VALUES (now(), 'test', $1, $2, 'test')"""


async def test_a_transaction_held_open_holds_back_what_was_committed_after_it(store: Store, database_url: str) -> None:
    first, second = await store.sandbox(State.RUNNING), await store.sandbox(State.RUNNING)
    start = await events.horizon(store.database)
    slow = await asyncpg.connect(database_url)
    try:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute(_INSERT, DEFAULT_TEAM_ID, first)
        await store.raw.execute(_INSERT, DEFAULT_TEAM_ID, second)

        held = await events.read(store.database, start)
        assert (held.sandbox_ids, held.cursor, held.waiting) == (frozenset(), start, True)

        await transaction.commit()
        batch = await events.read(store.database, held.cursor)
        assert batch.sandbox_ids == {first, second}
        assert not batch.waiting
        assert (await events.read(store.database, batch.cursor)).sandbox_ids == frozenset()
    finally:
        await slow.close()


async def test_everything_is_read_once_in_batches(store: Store) -> None:
    cursor = await events.horizon(store.database)
    made = [await store.sandbox(State.RUNNING) for _ in range(7)]
    for sandbox_id in made:
        await store.raw.execute(_INSERT, DEFAULT_TEAM_ID, sandbox_id)
    read: list[UUID] = []
    while True:
        batch = await events.read(store.database, cursor, limit=3)
        read.extend(batch.sandbox_ids)
        assert batch.cursor >= cursor
        cursor = batch.cursor
        if not batch.full:
            break
    assert sorted(read) == sorted(made)


async def test_what_changed_since_a_cursor_is_known_or_not(store: Store) -> None:
    start = await events.horizon(store.database)
    made = {await store.sandbox(State.RUNNING) for _ in range(3)}
    for sandbox_id in made:
        await store.raw.execute(_INSERT, DEFAULT_TEAM_ID, sandbox_id)
    changed = await events.changed_since(store.database, DEFAULT_TEAM_ID, start, 10)
    assert changed is not None
    assert changed[0] == made
    assert await events.changed_since(store.database, DEFAULT_TEAM_ID, changed[1], 10) == (frozenset(), changed[1])
    assert await events.changed_since(store.database, DEFAULT_TEAM_ID, start, 2) is None
    assert await events.changed_since(store.database, DEFAULT_TEAM_ID, Cursor(start.xid + 10**6, 0), 10) is None


async def test_old_lines_are_removed_and_a_reader_from_before_is_told(store: Store) -> None:
    start = await events.horizon(store.database)
    sandbox_id = await store.sandbox(State.RUNNING)
    for days in (40, 39, 31, 1, 35):
        await store.raw.execute(
            """INSERT INTO events (at, kind, team_id, sandbox_id, actor)
            VALUES (now() - make_interval(days => $3), 'test', $1, $2, 'test')""",
            DEFAULT_TEAM_ID,
            sandbox_id,
            days,
        )
    now, keep = datetime.now(UTC), timedelta(days=30)
    assert await events.prune(store.database, now, keep, limit=2) == 2
    assert await events.changed_since(store.database, DEFAULT_TEAM_ID, start, 10) is None
    assert await events.prune(store.database, now, keep) == 1
    # never from the midst of the log
    assert await events.prune(store.database, now, keep) == 0
    assert await store.events(sandbox_id) == 2
    end = await events.horizon(store.database)
    assert await events.changed_since(store.database, DEFAULT_TEAM_ID, end, 10) is not None


async def test_a_clock_that_is_ten_years_ahead_removes_nothing(store: Store) -> None:
    sandbox_id = await store.sandbox(State.RUNNING)
    await store.raw.execute(_INSERT, DEFAULT_TEAM_ID, sandbox_id)
    ahead = datetime.now(UTC) + timedelta(days=3650)
    assert await events.prune(store.database, ahead, timedelta(days=30)) == 0
    assert await store.events(sandbox_id) == 1


@pytest.mark.parametrize("text", ["", "1", "1.", "a.b", "-1.0", "1.2.3", f"{1 << 64}.0", f"1.{1 << 63}", "1.٣", " 1.2"])
def test_forged_cursors_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Cursor.parse(text)


def test_a_cursor_survives_the_wire() -> None:
    cursor = Cursor(12345678901, 42)
    assert Cursor.parse(str(cursor)) == cursor

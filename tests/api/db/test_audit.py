"""The audit log only grows, whatever is tried."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from api.db import audit
from api.domain.audit import AuditLine
from api.ids import DEFAULT_TEAM_ID, new_id
from tests.api.db.conftest import Store


def _line(age: timedelta) -> AuditLine:
    at = datetime.now(UTC) - age
    return AuditLine(new_id(), at, DEFAULT_TEAM_ID, "system", "test", "", "OK", "", "")


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET result = 'OK'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
async def test_what_was_written_stays_even_for_the_owner(store: Store, statement: str) -> None:
    await audit.insert(store.database, _line(timedelta(days=29)))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only grows"):
        await store.raw.execute(statement)
    assert await store.raw.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_retention_removes_what_is_old(store: Store) -> None:
    old, young = _line(timedelta(days=40)), _line(timedelta(days=35))
    await audit.insert(store.database, old)
    await audit.insert(store.database, young)
    assert await audit.prune(store.database, datetime.now(UTC) - timedelta(days=38)) == 1
    (left,) = await store.database.rows("SELECT id FROM audit_log")
    assert left["id"] == young.id


async def test_what_is_young_stays_whatever_time_is_asked_for(store: Store) -> None:
    old, young = _line(timedelta(days=31)), _line(timedelta(days=29))
    await audit.insert(store.database, old)
    await audit.insert(store.database, young)
    assert await audit.prune(store.database, datetime.now(UTC) + timedelta(days=365)) == 1
    (left,) = await store.database.rows("SELECT id FROM audit_log")
    assert left["id"] == young.id


async def test_a_batch_at_a_time_is_removed_the_oldest_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BATCH_MAX", 2)
    lines = [_line(timedelta(days=days)) for days in (40, 43, 41, 42)]
    for line in lines:
        await audit.insert(store.database, line)
    assert await audit.prune(store.database, datetime.now(UTC) - timedelta(days=35)) == 2
    left = await store.database.rows("SELECT id FROM audit_log ORDER BY at")
    assert [row["id"] for row in left] == [lines[2].id, lines[0].id]

"""Who may write what is known of a host."""

from uuid import UUID

import asyncpg

from api.db import hosts
from api.domain.host import HostFacts, Isolation
from tests.api.db.conftest import Store
from tests.api.records import NOW


def _facts(host_id: UUID) -> HostFacts:
    return HostFacts(host_id, "n", "agent", "1", "qemu", Isolation.HARDWARE, "kvm", "10", 4, 9, 8, 7, 6, ())


async def _row(store: Store) -> asyncpg.Record | None:
    return await store.raw.fetchrow("SELECT * FROM hosts WHERE id = $1", store.host_id)


async def test_a_host_that_has_joined_is_seen_by_its_certificate_where_it_joined_and_no_other_way(store: Store) -> None:
    facts = _facts(store.host_id)
    assert await hosts.seen(store.database, "b", facts, NOW, by_certificate=False)
    await store.raw.execute("UPDATE hosts SET registered_at = now(), address = 'c' WHERE id = $1", store.host_id)
    before = await _row(store)
    # a pass that began before it joined ends afterwards
    assert not await hosts.seen(store.database, "c", facts, NOW, by_certificate=False)
    assert not await hosts.seen(store.database, "b", facts, NOW, by_certificate=True)
    assert await _row(store) == before
    assert await hosts.seen(store.database, "c", facts, NOW, by_certificate=True)


async def test_a_pass_that_began_before_its_host_was_removed_does_not_bring_it_back(store: Store) -> None:
    await store.raw.execute("UPDATE hosts SET registered_at = now(), reachable = false WHERE id = $1", store.host_id)
    assert await hosts.remove(store.database, store.host_id, NOW)
    before = await _row(store)
    assert not await hosts.seen(store.database, "a", _facts(store.host_id), NOW, by_certificate=True)
    assert not await hosts.set_reachable(store.database, store.host_id, NOW, reachable=True)
    assert await _row(store) == before

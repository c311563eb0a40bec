"""What a filter means is the same in SQL and in the domain."""

import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from api.db import sandboxes
from api.domain.page import PageRequest
from api.domain.sandbox import UNREACHABLE, SandboxFilter, State
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, new_id
from tests.api.db.conftest import Store

_MIDDLE = datetime(2026, 1, 1, tzinfo=UTC)


async def test_the_filter_in_sql_agrees_with_the_one_in_the_domain(store: Store) -> None:
    chance = random.Random(1)  # noqa: S311
    for state, name, reachable in itertools.product(State, ("", "Übung", "a_b%"), (True, False)):
        sandbox_id = await store.sandbox(state)
        await store.raw.execute(
            "UPDATE sandboxes SET name = $2, labels = $3::jsonb, created_at = $4, host_id = $5 WHERE id = $1",
            sandbox_id,
            name,
            chance.choice(['{"a": "1"}', '{"a": "1", "b": "2"}', "{}"]),
            _MIDDLE + timedelta(days=chance.choice([-1, 0, 1])),
            store.host_id if reachable else await _silent_host(store),
        )
    everything = await sandboxes.load(
        store.database, [row[0] for row in await store.raw.fetch("SELECT id FROM sandboxes")]
    )
    plain = SandboxFilter()
    some = (
        plain,
        SandboxFilter(states=frozenset({State.RUNNING, State.DELETED})),
        SandboxFilter(states=frozenset({UNREACHABLE})),
        SandboxFilter(states=frozenset()),
        SandboxFilter(labels={"a": "1"}),
        SandboxFilter(labels={"a": "1", "b": "2"}),
        SandboxFilter(labels={"a": "2"}),
        SandboxFilter(name_contains="übung"),
        SandboxFilter(name_contains="_"),
        SandboxFilter(name_contains="%"),
        SandboxFilter(template_id=BASE_TEMPLATE_ID),
        SandboxFilter(template_id=new_id()),
        SandboxFilter(created_after=_MIDDLE),
        SandboxFilter(created_before=_MIDDLE),
        replace(plain, labels={"b": "2"}, created_after=_MIDDLE, states=frozenset({State.PAUSED, UNREACHABLE})),
    )
    for criteria in some:
        wanted = {sandbox.id for sandbox in everything if criteria.matches(sandbox)}
        found = await sandboxes.page(
            store.database, DEFAULT_TEAM_ID, criteria, PageRequest(size=1000), newest_first=True
        )
        assert {sandbox.id for sandbox in found.items} == wanted, criteria
        assert await sandboxes.count(store.database, DEFAULT_TEAM_ID, criteria) == len(wanted)


async def _silent_host(store: Store) -> object:
    await store.raw.execute(
        "INSERT INTO hosts (id, name, address, cpu_count, created_at) VALUES ($1, 's', 's', 1, now()) "
        "ON CONFLICT DO NOTHING",
        BASE_TEMPLATE_ID,
    )
    return BASE_TEMPLATE_ID

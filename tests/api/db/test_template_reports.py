"""Who may say that a template is there."""

from uuid import UUID

from api.db import template_reports
from api.domain.machine import HeldState, HeldTemplate
from api.domain.sandbox import State
from api.ids import DEFAULT_TEAM_ID, new_id
from tests.api.db.conftest import Store
from tests.api.records import NOW


async def _being_made(store: Store) -> HeldTemplate:
    """A template that its host was told to make, as that host has it when it is complete."""
    template_id, sandbox_id = new_id(), await store.sandbox(State.RUNNING)
    await store.raw.execute(
        """INSERT INTO templates (id, team_id, name, type, state, disk_size_mb, vcpus, memory_mb, source_sandbox_id,
            created_at) VALUES ($1, $2, 'mine', 'snapshot', 'creating', 5120, 1, 512, $3, now())""",
        template_id,
        DEFAULT_TEAM_ID,
        sandbox_id,
    )
    await store.raw.execute(
        "INSERT INTO template_hosts (template_id, host_id, updated_at) VALUES ($1, $2, now())",
        template_id,
        store.host_id,
    )
    return HeldTemplate(template_id, HeldState.READY, 11, "mine", sandbox_id, 1, 512, 5120, 4096, 100, "", "")


async def _state(store: Store, held: HeldTemplate) -> tuple[str, list[UUID]]:
    """Of the template, and the hosts that have it."""
    state = await store.raw.fetchval("SELECT state FROM templates WHERE id = $1", held.template_id)
    ready = await store.raw.fetch(
        "SELECT host_id FROM template_hosts WHERE template_id = $1 AND ready", held.template_id
    )
    return state, [row["host_id"] for row in ready]


async def test_only_the_host_of_its_sandbox_completes_a_template(store: Store) -> None:
    held, stranger = await _being_made(store), new_id()
    await store.raw.execute(
        "INSERT INTO hosts (id, name, address, cpu_count, created_at) VALUES ($1, 'other', 'b', 1, now())", stranger
    )
    await template_reports.complete(store.database, stranger, held, NOW)
    assert await _state(store, held) == ("creating", [])
    await template_reports.complete(store.database, store.host_id, held, NOW)
    assert await _state(store, held) == ("ready", [store.host_id])
    await template_reports.complete(store.database, stranger, held, NOW)
    assert await _state(store, held) == ("ready", [store.host_id])


async def test_a_template_that_its_host_lost_and_found_again_is_there_again(store: Store) -> None:
    held = await _being_made(store)
    await template_reports.complete(store.database, store.host_id, held, NOW)
    await template_reports.gone(store.database, held.template_id, store.host_id, held.sequence + 1, NOW)
    assert await _state(store, held) == ("ready", [])
    await template_reports.complete(store.database, store.host_id, held, NOW)
    assert await _state(store, held) == ("ready", [store.host_id])

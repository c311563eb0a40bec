"""Templates that are used, deleted, and seen by others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from agent.drivers.simulated import Hang
from api.domain.operation import OperationKind, OperationState
from api.domain.page import page_request
from api.domain.sandbox import CreateSandbox
from api.domain.template import TemplateFilter
from api.errors import Conflict, Forbidden, NestboxError, NotFound, Unavailable
from api.ids import BASE_TEMPLATE_ID, PLATFORM_TEAM_ID, new_id
from api.reconciler import host as reconciler_host
from tests.agent.serving import Served
from tests.api.running import Running, agent_at, other_team, principal_of, services_running
from tests.waiting import eventually


async def _template_rows(running: Running) -> list[tuple[str, str]]:
    rows = await running.database.fetch("SELECT name, state FROM templates WHERE type = 'snapshot' ORDER BY id")
    return [(row["name"], row["state"]) for row in rows]


async def test_a_template_in_use_is_not_touched_and_then_deleted_everywhere(running: Running, served: Served) -> None:
    template = await running.template()
    user = await running.created(template_id=template.id)
    for state in ("running", "paused"):
        if state == "paused":
            await running.services.sandboxes.pause(running.principal, user.id)
        with pytest.raises(Conflict) as refused:
            await running.services.templates.delete(running.principal, template.id)
        assert refused.value.code == "TEMPLATE_IN_USE"
    now = await running.services.templates.get(running.principal, template.id)
    assert now is not None
    ((entry,),) = (await running.services.templates.allowed_actions(running.principal, [now])).values()
    assert not entry.allowed
    await running.created(template_id=template.id)  # it can still be used
    for sandbox_id in await running.database.fetch("SELECT id FROM sandboxes WHERE template_id = $1", template.id):
        await running.services.sandboxes.delete(running.principal, sandbox_id["id"])
    operation = await running.services.templates.delete(running.principal, template.id, idempotency_key="k")
    assert (operation.kind, operation.state) == (OperationKind.DELETE_TEMPLATE, OperationState.SUCCEEDED)
    assert await running.services.templates.get(running.principal, template.id) is None
    assert await _template_rows(running) == [("mine", "deleted")]
    assert await running.database.fetchval("SELECT count(*) FROM template_hosts") == 0
    again = await running.services.templates.delete(running.principal, template.id, idempotency_key="k")
    assert again.id == operation.id
    with pytest.raises(NotFound):
        await running.services.templates.delete(running.principal, template.id)
    with pytest.raises(NotFound):
        await running.services.sandboxes.create(running.principal, CreateSandbox(template_id=template.id))
    assert (await running.template()).name == template.name


async def test_what_a_template_is_being_made_of_stays_though_its_sandbox_is_gone(
    running: Running, served: Served
) -> None:
    below, hang = await running.template("below"), Hang()
    sandbox = await running.created(template_id=below.id)
    served.driver.faults.inject("make_template", hang)
    begun = await running.services.templates.create(running.principal, sandbox.id, "above", wait_seconds=0)
    await asyncio.wait_for(hang.reached.wait(), 10)
    await running.services.sandboxes.delete(running.principal, sandbox.id)
    with pytest.raises(Conflict) as refused:
        await running.services.templates.delete(running.principal, below.id)
    assert refused.value.code == "TEMPLATE_IN_USE"
    now = await running.services.templates.get(running.principal, below.id)
    assert now is not None
    ((entry,),) = (await running.services.templates.allowed_actions(running.principal, [now])).values()
    assert not entry.allowed
    hang.released.set()
    assert (await running.ended(begun.operation.id)).state is OperationState.SUCCEEDED
    deleted = await running.services.templates.delete(running.principal, below.id)
    assert deleted.state is OperationState.SUCCEEDED


async def test_a_deletion_and_creations_at_once_leave_no_sandbox_without_its_template(running: Running) -> None:
    for number in range(5):
        template = await running.template(f"raced-{number}")
        creations = [
            running.services.sandboxes.create(running.principal, CreateSandbox(template_id=template.id))
            for _ in range(6)
        ]
        deletions = [running.services.templates.delete(running.principal, template.id) for _ in range(3)]
        answers = await asyncio.gather(*creations[:3], *deletions, *creations[3:], return_exceptions=True)
        codes = {answer.code for answer in answers if isinstance(answer, NestboxError)}
        assert codes <= {"NOT_FOUND", "TEMPLATE_IN_USE"}
        assert not [
            answer for answer in answers if isinstance(answer, BaseException) and not isinstance(answer, NestboxError)
        ]
        standing = await running.database.fetchval(
            "SELECT count(*) FROM sandboxes WHERE template_id = $1 AND state <> 'failed'", template.id
        )
        is_there = await running.services.templates.get(running.principal, template.id) is not None
        assert is_there == (standing > 0)
        for row in await running.database.fetch("SELECT id FROM sandboxes WHERE template_id = $1", template.id):
            await running.services.sandboxes.delete(running.principal, row["id"])


async def test_templates_of_the_platform_are_deleted_by_admins_only(running: Running) -> None:
    template_id = new_id()
    await running.database.execute(
        "INSERT INTO templates (id, team_id, name, type, disk_size_mb, created_at) VALUES ($1, $2, $3, 'base', 5120, "
        "now())",
        template_id,
        PLATFORM_TEAM_ID,
        "python",
    )
    admin = await principal_of(running.services, admin=True)
    await running.created()
    for principal, which in (
        (running.principal, template_id),
        (running.principal, BASE_TEMPLATE_ID),
        (admin, BASE_TEMPLATE_ID),
    ):
        with pytest.raises(Forbidden):
            await running.services.templates.delete(principal, which)
    deleted = await running.services.templates.delete(admin, template_id)
    assert deleted.state is OperationState.SUCCEEDED
    assert await running.template_names() == {"base"}


async def test_another_teams_template_and_sandbox_look_like_none(running: Running) -> None:
    template = await running.template()
    stranger = await principal_of(running.services, await other_team(running.database))
    templates = running.services.templates
    for attempt in (
        templates.delete(stranger, template.id),
        templates.create(stranger, template.source_sandbox_id or new_id(), "theirs"),
        running.services.sandboxes.create(stranger, CreateSandbox(template_id=template.id)),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await templates.get(stranger, template.id) is None
    assert await templates.get_by_name(stranger, template.name) is None
    # another team may give the same name
    admin = await principal_of(running.services, admin=True)
    listed = await templates.list_of_all_teams(admin, TemplateFilter(), page_request())
    assert {entry.name for entry in listed.items} == {"base", "mine"}
    ((holder,),) = (await templates.hosts(admin, [template.id])).values()
    assert holder.is_complete
    for forbidden in (
        templates.hosts(stranger, [template.id]),
        templates.count_of_all_teams(stranger, TemplateFilter()),
    ):
        with pytest.raises(Forbidden):
            await forbidden


async def test_a_team_uses_what_its_sandboxes_and_templates_take(running: Running) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield bytes(100_000)

    sandbox = await running.created()
    await running.services.files.write(running.principal, sandbox.id, "/root/file", content())
    template = await running.template(sandbox_id=sandbox.id)
    assert template.stored_bytes is not None
    used = await running.services.usages.of_team(running.principal)
    assert used.template_bytes == template.stored_bytes > 0
    await running.database.execute("UPDATE sandboxes SET stored_bytes = 4096")
    used = await running.services.usages.of_team(running.principal)
    assert used.disk_bytes == used.template_bytes + 4096
    stranger = await principal_of(running.services, await other_team(running.database))
    assert (await running.services.usages.of_team(stranger)).disk_bytes == 0


async def test_a_template_starts_only_where_it_lies_and_is_deleted_when_its_host_returns(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler_host, "UNREACHABLE_AFTER_SECONDS", 0.2)
    monkeypatch.setattr(reconciler_host, "RETRY_SECONDS", 0.1)
    async with AsyncExitStack() as platform:
        agent = await platform.enter_async_context(AsyncExitStack())
        address = await agent.enter_async_context(agent_at(tmp_path / "one"))
        other = await platform.enter_async_context(agent_at(tmp_path / "two"))
        running = await platform.enter_async_context(services_running(database_url, address, other))
        sandboxes = [await running.created() for _ in range(4)]
        holders = {sandbox.host_id for sandbox in sandboxes}
        assert len(holders) == 2
        one = await running.database.fetchval("SELECT id FROM hosts WHERE address = $1", address)
        parent = next(sandbox for sandbox in sandboxes if sandbox.host_id == one)
        template = await running.template(sandbox_id=parent.id)
        for _ in range(3):
            assert (await running.created(template_id=template.id)).host_id == one
        await agent.aclose()

        async def is_away() -> bool:
            return not await running.database.fetchval("SELECT reachable FROM hosts WHERE id = $1", one)

        await eventually(is_away)
        with pytest.raises(Unavailable) as refused:
            await running.services.sandboxes.create(running.principal, CreateSandbox(template_id=template.id))
        assert refused.value.code == "HOST_UNREACHABLE"
        with pytest.raises(Unavailable):
            await running.services.templates.create(running.principal, parent.id, "other")
        for row in await running.database.fetch("SELECT id FROM sandboxes WHERE template_id = $1", template.id):
            await running.services.sandboxes.delete(running.principal, row["id"], wait_seconds=0)
        await running.database.execute(
            "UPDATE sandboxes SET state = 'deleted', deleted_at = now(), state_deadline_at = NULL WHERE template_id = "
            "$1",
            template.id,
        )
        begun = await running.services.templates.delete(running.principal, template.id, wait_seconds=0)
        assert begun.state is OperationState.RUNNING
        assert "mine" not in await running.template_names()
        again = await platform.enter_async_context(AsyncExitStack())
        await again.enter_async_context(agent_at(tmp_path / "one", address))
        running.clock.offset += timedelta(seconds=30)
        with pytest.raises(AssertionError):
            # what stands on it there keeps it there, though no row knows of it any more
            await eventually(lambda: _is_deleted(running, template.id), 1)
        client = running.services.resources.hosts.client(one)
        for machine in (await client.list_machines()).machines:
            if machine.sandbox_id != parent.id:
                await client.destroy(machine.sandbox_id, machine.generation + 1)
        running.services.commands._in_doubt(one)
        await eventually(lambda: _is_deleted(running, template.id))
        assert (await running.operation(begun.id)).state is OperationState.SUCCEEDED


async def _is_deleted(running: Running, template_id: UUID) -> bool:
    return bool(await running.database.fetchval("SELECT state = 'deleted' FROM templates WHERE id = $1", template_id))

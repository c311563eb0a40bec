"""Hosts that were removed: nobody calls them, and nothing waits for them."""

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from api.db import commands, forks
from api.db.commands import Acceptance
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import UNREACHABLE, Action, ForkSandbox, Goal, State, accepted_in, inherit, shown_state
from api.domain.template import TemplateState
from api.errors import Conflict, Forbidden, NotFound, Unauthenticated, Unavailable
from api.hosts.authority import Authority
from api.ids import DEFAULT_TEAM_ID, new_id
from tests.api.joining import free_address, is_reachable, joins, secure_agent
from tests.api.running import Running, principal_of, services_running
from tests.waiting import eventually


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority", datetime.now(UTC))


async def removes(running: Running, identity: UUID) -> None:
    """An admin removes it, and this replica has heard of it."""
    admin = await principal_of(running.services, admin=True)
    host = await running.services.hosts.remove(admin, identity)
    assert host is not None
    assert (host.reachable, host.removed_at is None) == (False, False)
    await eventually(lambda: not any(host.address in status.name for status in running.status()))


async def test_a_host_that_is_removed_is_not_called_and_what_it_has_can_be_deleted(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    folder, address = tmp_path / "host", free_address()
    async with AsyncExitStack() as platform:
        running = await platform.enter_async_context(services_running(database_url, authority=authority))
        identity = await joins(running, folder, address)
        agent = await platform.enter_async_context(AsyncExitStack())
        await agent.enter_async_context(secure_agent(folder, address))
        await eventually(lambda: is_reachable(running, identity))
        kept, deleted = await running.created(), await running.created()
        template = await running.template(sandbox_id=kept.id)
        before = (await running.services.registrations.new_token("test", identity)).token

        # its agent answers all the time
        await removes(running, identity)
        with pytest.raises(Unavailable):
            running.services.resources.hosts.client(identity)
        assert not await is_reachable(running, identity)
        assert shown_state(await running.get(kept.id)) == UNREACHABLE
        with pytest.raises(Unavailable):
            await running.services.sandboxes.pause(running.principal, kept.id)
        await running.services.sandboxes.delete(running.principal, deleted.id, wait_seconds=0)
        gone = await running.comes_to(deleted.id, State.DELETED)
        assert gone.last_operation is not None
        assert gone.last_operation.state is OperationState.SUCCEEDED
        operation = await running.services.templates.delete(running.principal, template.id, wait_seconds=0)
        assert (await running.ended(operation.id)).state is OperationState.SUCCEEDED

        # it comes back only with a token that is newer than its removal
        with pytest.raises(Unauthenticated):
            await joins(running, folder, address, before)
        with pytest.raises(Conflict):
            await joins(running, folder, address)
        assert not await is_reachable(running, identity)
        await agent.aclose()
        await joins(running, folder, address, again=True)
        await platform.enter_async_context(secure_agent(folder, address))
        await eventually(lambda: is_reachable(running, identity))
        assert (await running.services.sandboxes.pause(running.principal, kept.id)).sandbox.state is State.PAUSED


async def test_what_is_made_on_a_host_that_is_removed_fails(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    folder, address = tmp_path / "host", free_address()
    async with services_running(database_url, authority=authority) as running:
        identity = await joins(running, folder, address)
        async with secure_agent(folder, address):
            await eventually(lambda: is_reachable(running, identity))
            parent, operation_id, child = await running.created(), new_id(), new_id()
            other, pause_id = await running.created(), new_id()
        now = running.clock.now()
        acceptance = Acceptance(operation_id, OperationKind.FORK, DEFAULT_TEAM_ID, "key-x", now, now, None, None)
        forking, sources = inherit(ForkSandbox(parent.id), parent, {}), accepted_in(Action.FORK)
        # all accepted, and never heard of by the host
        database = running.services.resources.database
        assert await forks.create(database, acceptance, parent.id, [child], forking, sources) is not None
        pause = replace(acceptance, operation_id=pause_id, kind=OperationKind.PAUSE)
        moved = await commands.move(
            database,
            pause,
            other.id,
            target=State.PAUSING,
            goal=Goal.PAUSED,
            sources={State.RUNNING},
            needs_host=False,
        )
        assert moved is not None
        template_id = new_id()
        await running.database.execute(
            """WITH template AS (
                INSERT INTO templates (id, team_id, name, type, state, disk_size_mb, vcpus, memory_mb,
                    source_sandbox_id, created_at)
                VALUES ($1, $2, 'mine', 'snapshot', 'creating', 5120, 1, 512, $3, now()) RETURNING id
            ) INSERT INTO template_hosts (template_id, host_id, updated_at) SELECT id, $4, now() FROM template""",
            template_id,
            DEFAULT_TEAM_ID,
            parent.id,
            identity,
        )
        await removes(running, identity)
        assert (await running.ended(operation_id)).state is OperationState.FAILED
        await running.comes_to(child, State.FAILED)
        assert (await running.ended(pause_id)).error_code == "HOST_UNREACHABLE"
        assert (await running.get(other.id)).goal is Goal.RUNNING
        await eventually(lambda: _is_dropped(running, template_id))


async def _is_dropped(running: Running, template_id: UUID) -> bool:
    state = await running.database.fetchval("SELECT state FROM templates WHERE id = $1", template_id)
    return bool(state == TemplateState.DELETED)


async def test_only_hosts_that_have_joined_are_removed_and_by_admins_only(running: Running) -> None:
    (identity,) = running.services.resources.hosts.host_ids
    admin = await principal_of(running.services, admin=True)
    with pytest.raises(Conflict) as refused:
        await running.services.hosts.remove(admin, identity)
    assert refused.value.code == "HOST_NOT_JOINED"
    with pytest.raises(NotFound):
        await running.services.hosts.remove(admin, new_id())
    with pytest.raises(Forbidden):
        await running.services.hosts.remove(running.principal, identity)
    assert await is_reachable(running, identity)

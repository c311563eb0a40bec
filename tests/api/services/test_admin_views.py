"""Sandboxes and operations of all teams, as platform admins see them."""

from dataclasses import replace
from uuid import UUID

import pytest

from api.domain.operation import Operation, OperationFilter, OperationKind, OperationState
from api.domain.page import page_request
from api.domain.principal import NO_TEAM_ID, Principal
from api.domain.sandbox import CreateSandbox, ForkSandbox, Sandbox, SandboxFilter, State
from api.errors import Forbidden
from api.ids import DEFAULT_TEAM_ID, new_id
from tests.api.running import Running, other_team, principal_of

ALL = page_request()


async def _homeless_admin(running: Running) -> Principal:
    """A platform admin who is in no team, and so may not even read anything of one."""
    admin = await principal_of(running.services, admin=True)
    return replace(admin, team_id=NO_TEAM_ID, scopes=frozenset())


async def _of_another_team(running: Running) -> Sandbox:
    stranger = await principal_of(running.services, await other_team(running.database))
    return (await running.services.sandboxes.create(stranger, CreateSandbox(name="theirs"))).sandbox


async def _operation_ids(running: Running, admin: Principal, **wanted: object) -> list[UUID]:
    criteria = OperationFilter(**wanted)  # type: ignore[arg-type]
    found = await running.services.operations.list_of_all_teams(admin, criteria, ALL)
    assert await running.services.operations.count_of_all_teams(admin, criteria) == len(found.items)
    return [operation.id for operation in found.items]


async def test_only_platform_admins_see_across_teams(lonely: Running) -> None:
    sandboxes, operations, who = lonely.services.sandboxes, lonely.services.operations, lonely.principal
    for attempt in (
        sandboxes.get_of_any_team(who, new_id()),
        sandboxes.list_of_all_teams(who, None, SandboxFilter(), ALL),
        sandboxes.list_of_all_teams(who, who.team_id, SandboxFilter(), ALL),
        sandboxes.count_of_all_teams(who, None, SandboxFilter()),
        operations.list_of_all_teams(who, OperationFilter(team_id=who.team_id), ALL),
        operations.count_of_all_teams(who, OperationFilter()),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_an_admin_in_no_team_sees_the_sandboxes_of_all(running: Running) -> None:
    admin, sandboxes = await _homeless_admin(running), running.services.sandboxes
    ours, theirs = await running.created(name="ours"), await _of_another_team(running)
    page = await sandboxes.list_of_all_teams(admin, None, SandboxFilter(), ALL)
    assert [sandbox.id for sandbox in page.items] == [theirs.id, ours.id]
    assert await sandboxes.count_of_all_teams(admin, None, SandboxFilter()) == 2
    oldest = await sandboxes.list_of_all_teams(admin, None, SandboxFilter(), page_request(first=1), newest_first=False)
    assert ([sandbox.id for sandbox in oldest.items], oldest.has_next) == ([ours.id], True)
    of_one = await sandboxes.list_of_all_teams(admin, theirs.team_id, SandboxFilter(), ALL)
    assert [sandbox.id for sandbox in of_one.items] == [theirs.id]
    assert await sandboxes.count_of_all_teams(admin, new_id(), SandboxFilter()) == 0
    named = SandboxFilter(name_contains="OUR", states=frozenset({State.RUNNING}))
    assert await sandboxes.count_of_all_teams(admin, None, named) == 1
    found = await sandboxes.get_of_any_team(admin, theirs.id)
    assert found is not None
    assert (found.team_id, found.host_id) == (theirs.team_id, theirs.host_id)
    assert found.last_operation is not None
    assert await sandboxes.get_of_any_team(admin, new_id()) is None


async def test_what_was_deleted_is_found_by_its_id_and_listed_when_asked_for(running: Running) -> None:
    admin, sandboxes = await _homeless_admin(running), running.services.sandboxes
    sandbox = await running.created()
    await sandboxes.delete(running.principal, sandbox.id)
    assert await sandboxes.count_of_all_teams(admin, None, SandboxFilter()) == 0
    assert await sandboxes.count_of_all_teams(admin, None, SandboxFilter(states=frozenset({State.DELETED}))) == 1
    found = await sandboxes.get_of_any_team(admin, sandbox.id)
    assert found is not None
    assert found.state is State.DELETED


async def test_what_belongs_to_a_foreign_sandbox_is_seen_with_it(running: Running) -> None:
    admin, services = await _homeless_admin(running), running.services
    template = await running.template()
    parent = await running.created(template_id=template.id)
    fork = await services.forks.create(running.principal, ForkSandbox(parent.id, count=1))
    (child,) = fork.children
    latest = await services.operations.latest(admin, [parent.id, child.sandbox.id])
    assert {latest[parent.id].kind, latest[child.sandbox.id].kind} == {OperationKind.FORK, OperationKind.CREATE}
    assert set(await services.sandboxes.parents(admin, [parent.id])) == {parent.id}
    assert set(await services.templates.made(admin, [template.id])) == {template.id}
    (((entry,),), ((holder,),)) = (
        (await services.templates.allowed_actions(admin, [replace(template, in_use=None)])).values(),
        (await services.templates.hosts(admin, [template.id])).values(),
    )
    assert entry.reason == "It belongs to another team; only that team can delete it."
    assert holder.host_id == parent.host_id
    stranger = await principal_of(services, await other_team(running.database))
    assert await services.operations.latest(stranger, [parent.id]) == {}
    assert await services.sandboxes.parents(stranger, [parent.id]) == {}
    assert await services.templates.made(stranger, [template.id]) == {}


async def test_operations_of_all_teams_are_filtered(running: Running) -> None:
    admin = await _homeless_admin(running)
    ours, theirs = await running.created(), await _of_another_team(running)
    assert ours.last_operation is not None
    assert theirs.last_operation is not None
    paused = (await running.services.sandboxes.pause(running.principal, ours.id)).operation
    ids = [paused.id, theirs.last_operation.id, ours.last_operation.id]
    assert await _operation_ids(running, admin) == ids
    assert await _operation_ids(running, admin, team_id=theirs.team_id) == ids[1:2]
    assert await _operation_ids(running, admin, team_id=new_id()) == []
    assert await _operation_ids(running, admin, kind=OperationKind.CREATE) == ids[1:]
    assert await _operation_ids(running, admin, kind=OperationKind.FORK) == []
    assert await _operation_ids(running, admin, state=OperationState.SUCCEEDED) == ids
    assert await _operation_ids(running, admin, state=OperationState.FAILED) == []
    assert await _operation_ids(running, admin, sandbox_id=ours.id) == [ids[0], ids[2]]
    all_at_once = OperationFilter(DEFAULT_TEAM_ID, OperationKind.PAUSE, OperationState.SUCCEEDED, ours.id)
    page = await running.services.operations.list_of_all_teams(admin, all_at_once, ALL)
    assert [operation.id for operation in page.items] == [paused.id]
    await running.database.execute("UPDATE operations SET state = 'failed', error_code = 'X' WHERE id = $1", paused.id)
    assert await _operation_ids(running, admin, state=OperationState.FAILED) == [paused.id]
    assert await running.services.operations.count_of_all_teams(admin, OperationFilter()) == 3


async def test_pages_of_operations_meet_both_ways_without_gap_or_repetition(lonely: Running) -> None:
    admin, operations = await _homeless_admin(lonely), lonely.services.operations
    ids = sorted([await _operation_row(lonely) for _ in range(7)], reverse=True)

    async def walk(*, backwards: bool) -> list[Operation]:
        found: list[Operation] = []
        request = page_request(last=3) if backwards else page_request(first=3)
        while True:
            page = await operations.list_of_all_teams(admin, OperationFilter(), request)
            found = [*page.items, *found] if backwards else [*found, *page.items]
            if not (page.has_previous if backwards else page.has_next):
                return found
            edge = page.items[0] if backwards else page.items[-1]
            request = page_request(last=3, before=edge.id) if backwards else page_request(first=3, after=edge.id)

    assert [operation.id for operation in await walk(backwards=False)] == ids
    assert [operation.id for operation in await walk(backwards=True)] == ids


async def _operation_row(running: Running) -> UUID:
    """An operation that deleted a template: the only kind that needs no sandbox."""
    template_id, operation_id = new_id(), new_id()
    await running.database.execute(
        "INSERT INTO templates (id, team_id, name, type, disk_size_mb, created_at) "
        "VALUES ($1, $2, $3, 'base', 1, now())",
        template_id,
        DEFAULT_TEAM_ID,
        f"t{template_id}",
    )
    await running.database.execute(
        "INSERT INTO operations (id, team_id, template_id, kind, state, actor, generation, created_at, finished_at) "
        "VALUES ($1, $2, $3, 'delete_template', 'succeeded', 'system', 1, now(), now())",
        operation_id,
        DEFAULT_TEAM_ID,
        template_id,
    )
    return operation_id

"""Templates and forks whose host says something else than the rows."""

from datetime import timedelta
from uuid import UUID

import pytest

from agent.drivers.simulated import Fail
from agent.errors import AgentError, Code
from api.db import forks
from api.db.commands import Acceptance
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import Action, ForkSandbox, Sandbox, State, accepted_in, inherit
from api.hosts.errors import Refused
from api.ids import DEFAULT_TEAM_ID, new_id
from tests.agent.serving import Served
from tests.api.running import Running
from tests.waiting import eventually


async def test_a_template_that_its_host_knows_nothing_of_fails_and_frees_its_name(running: Running) -> None:
    sandbox = await running.created()
    template_id, operation_id = new_id(), new_id()
    await running.database.execute(
        """INSERT INTO templates (id, team_id, name, type, state, disk_size_mb, vcpus, memory_mb, source_sandbox_id,
            created_at) VALUES ($1, $2, 'lost', 'snapshot', 'creating', 5120, 1, 512, $3, now())""",
        template_id,
        DEFAULT_TEAM_ID,
        sandbox.id,
    )
    await running.database.execute(
        """INSERT INTO operations (id, team_id, sandbox_id, template_id, kind, state, actor, generation, created_at)
        VALUES ($1, $2, $3, $4, 'create_template', 'running', 'key-x', 1, now())""",
        operation_id,
        DEFAULT_TEAM_ID,
        sandbox.id,
        template_id,
    )
    await running.database.execute(
        "INSERT INTO template_hosts (template_id, host_id, updated_at) VALUES ($1, $2, now())",
        template_id,
        sandbox.host_id,
    )
    running.clock.offset += timedelta(minutes=1)
    _look(running, sandbox)
    lost = await running.ended(operation_id)
    assert (lost.state, lost.error_code, lost.error_retryable) == (OperationState.FAILED, "TEMPLATE_LOST", True)
    assert (await running.template("lost", sandbox.id)).name == "lost"


async def test_a_template_that_its_host_has_lost_starts_nothing_any_more(running: Running, served: Served) -> None:
    template = await running.template()
    await served.delete_template(f"tpl-{template.id}")

    async def lies_nowhere() -> bool:
        return bool(await running.database.fetchval("SELECT count(*) FROM template_hosts") == 0)

    await eventually(lies_nowhere)
    assert (await running.services.templates.delete(running.principal, template.id)).state is OperationState.SUCCEEDED


async def test_a_fork_that_was_accepted_and_never_sent_is_sent(running: Running) -> None:
    parent, operation_id, children = await _accepted(running)
    running.clock.offset += timedelta(seconds=30)
    _look(running, parent)
    assert (await running.ended(operation_id)).state is OperationState.SUCCEEDED
    for child in children:
        assert (await running.comes_to(child, State.RUNNING)).parent_id == parent.id


async def test_a_fork_whose_answer_was_lost_is_asked_for_again(running: Running, served: Served) -> None:
    served.driver.faults.inject("snapshot.layer", Fail(AgentError(Code.DISK_FULL, "The disk is full.")))
    parent, operation_id, children = await _accepted(running)
    client = running.services.resources.hosts.client(parent.host_id)
    with pytest.raises(Refused, match="full"):
        # by a replica that is gone: the host's report alone does not say how it ended
        await client.fork(parent.id, parent.generation + 1, snapshot_id=operation_id, children=children)
    await running.comes_to(parent.id, State.RUNNING)
    assert (await running.operation(operation_id)).state is OperationState.RUNNING
    running.clock.offset += timedelta(seconds=30)
    _look(running, parent)
    assert (await running.ended(operation_id)).error_code == "DISK_FULL"
    for child in children:
        await running.comes_to(child, State.FAILED)


async def _accepted(running: Running) -> tuple[Sandbox, UUID, list[UUID]]:
    """A fork that is in the database, and was never told to its host."""
    parent, operation_id, children = await running.created(), new_id(), [new_id(), new_id()]
    now = running.clock.now()
    acceptance = Acceptance(
        operation_id, OperationKind.FORK, DEFAULT_TEAM_ID, "key-x", now, now + timedelta(minutes=5), None, None
    )
    forking = inherit(ForkSandbox(parent.id), parent, {})
    sources = accepted_in(Action.FORK)
    database = running.services.resources.database
    assert await forks.create(database, acceptance, parent.id, children, forking, sources) is not None
    return parent, operation_id, children


def _look(running: Running, sandbox: Sandbox) -> None:
    assert sandbox.host_id is not None
    running.services.commands._in_doubt(sandbox.host_id)

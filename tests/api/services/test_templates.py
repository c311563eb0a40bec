"""Templates that are made of sandboxes."""

import asyncio
from uuid import UUID

import pytest

from agent.drivers.driver import Death
from agent.drivers.simulated import Die, Fail, Hang
from agent.errors import AgentError, Code
from agent.machine import Cause as MachineCause
from api.domain.feed import OperationChanged
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import Cause, CreateSandbox, Goal, State
from api.domain.template import TemplateType
from api.errors import Conflict, Forbidden, Invalid, NestboxError, NotFound
from api.ids import PLATFORM_TEAM_ID, new_id
from tests.agent.serving import Served
from tests.api.running import Running
from tests.waiting import eventually


async def _template_rows(running: Running) -> list[tuple[str, str]]:
    rows = await running.database.fetch("SELECT name, state FROM templates WHERE type = 'snapshot' ORDER BY id")
    return [(row["name"], row["state"]) for row in rows]


async def test_a_template_has_the_shape_of_its_sandbox_and_sandboxes_start_from_it(running: Running) -> None:
    parent = await running.created(vcpus=2, memory_mb=256, disk_size_mb=6144)
    outcome = await running.services.templates.create(running.principal, parent.id, "web", "With a server.")
    template = outcome.template
    assert template is not None
    assert (template.type, template.name, template.description) == (TemplateType.SNAPSHOT, "web", "With a server.")
    assert (template.vcpus, template.memory_mb, template.disk_size_mb) == (2, 256, 6144)
    assert (template.source_sandbox_id, template.created_by) == (parent.id, running.principal.actor)
    assert template.stored_bytes is not None
    assert (outcome.operation.kind, outcome.operation.state) == (
        OperationKind.CREATE_TEMPLATE,
        OperationState.SUCCEEDED,
    )
    assert (outcome.operation.template_id, outcome.operation.progress_percent) == (template.id, 100)
    assert {stage.name for stage in outcome.operation.stages} >= {"build"}
    assert (await running.get(parent.id)).state is State.RUNNING

    child = await running.created(template_name="web")
    assert (child.template_id, child.vcpus, child.memory_mb, child.disk_size_mb) == (template.id, 2, 256, 6144)
    larger = await running.created(template_id=template.id, vcpus=2, disk_size_mb=8192)
    assert larger.disk_size_mb == 8192
    for wish in ({"vcpus": 1}, {"memory_mb": 512}, {"disk_size_mb": 6143}):
        with pytest.raises(Invalid) as refused:
            await running.services.sandboxes.create(
                running.principal,
                CreateSandbox(template_id=template.id, **wish),  # type: ignore[arg-type]
            )
        assert refused.value.code == "UNSUPPORTED_SHAPE"


async def test_a_paused_sandbox_stays_paused(running: Running) -> None:
    sandbox = await running.created()
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    await running.template(sandbox_id=sandbox.id)
    after = await running.get(sandbox.id)
    assert (after.state, after.goal) == (State.PAUSED, Goal.PAUSED)
    assert (await running.services.sandboxes.resume(running.principal, sandbox.id)).sandbox.state is State.RUNNING


async def test_it_appears_when_it_is_complete_and_outlives_whatever_happens_to_the_sandbox(
    running: Running, served: Served
) -> None:
    sandbox, hang = await running.created(), Hang()
    served.driver.faults.inject("make_template", hang)
    begun = await running.services.templates.create(running.principal, sandbox.id, "slow", wait_seconds=0)
    await asyncio.wait_for(hang.reached.wait(), 10)
    assert begun.template is None
    await running.comes_to(sandbox.id, State.RUNNING)
    assert "slow" not in await running.template_names()
    assert begun.operation.template_id is not None
    assert await running.services.templates.get(running.principal, begun.operation.template_id) is None
    with pytest.raises(NotFound):
        await running.services.templates.delete(running.principal, begun.operation.template_id)
    # no later command of the sandbox ends it
    paused = await running.services.sandboxes.pause(running.principal, sandbox.id)
    assert paused.operation.state is OperationState.SUCCEEDED
    await running.services.sandboxes.delete(running.principal, sandbox.id)
    assert (await running.operation(begun.operation.id)).state is OperationState.RUNNING
    hang.released.set()
    assert (await running.ended(begun.operation.id)).state is OperationState.SUCCEEDED
    assert "slow" in await running.template_names()


async def test_progress_is_told_live(running: Running, served: Served) -> None:
    sandbox, hang = await running.created(), Hang()
    served.driver.faults.inject("make_template", hang)
    begun = await running.services.templates.create(running.principal, sandbox.id, "slow", wait_seconds=0)
    await asyncio.wait_for(hang.reached.wait(), 10)
    stream = running.services.feed.operations.watch(running.principal, begun.operation.id)
    first = await anext(stream)
    assert isinstance(first, OperationChanged)
    assert first.operation.state is OperationState.RUNNING
    host_id = sandbox.host_id
    assert host_id is not None
    assert begun.operation.template_id is not None
    held = (await served.templates())[f"tpl-{begun.operation.template_id}"]

    async def is_taken_in() -> bool:
        return bool(await running.database.fetchval("SELECT sequence FROM template_hosts") == held.sequence)

    await eventually(is_taken_in)
    await running.database.execute("UPDATE template_hosts SET sequence = $1", held.sequence - 1)
    reported = await running.services.resources.hosts.client(host_id).list_machines()
    (template,) = reported.templates
    changed = type(template)(
        **{name: getattr(template, name) for name in template.__slots__} | {"progress_percent": 40}
    )
    await running.services.template_reports.apply(host_id, changed)
    second = await asyncio.wait_for(anext(stream), 10)
    assert isinstance(second, OperationChanged)
    assert second.operation.progress_percent == 40
    hang.released.set()
    last = await asyncio.wait_for(anext(stream), 10)
    assert isinstance(last, OperationChanged)
    assert (last.operation.state, last.operation.progress_percent) == (OperationState.SUCCEEDED, 100)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_of_many_at_once_with_one_name_one_is_made(running: Running) -> None:
    sandboxes = [await running.created() for _ in range(5)]
    answers = await asyncio.gather(
        *(
            running.services.templates.create(running.principal, sandbox.id, "raced")
            for sandbox in sandboxes
            for _ in range(10)
        ),
        return_exceptions=True,
    )
    made = [answer for answer in answers if not isinstance(answer, BaseException)]
    codes = {answer.code for answer in answers if isinstance(answer, NestboxError)}
    assert len(made) == 1
    assert codes <= {"TEMPLATE_NAME_TAKEN", "WRONG_STATE"}
    assert await _template_rows(running) == [("raced", "ready")]
    assert {(await running.get(sandbox.id)).state for sandbox in sandboxes} == {State.RUNNING}


async def test_one_key_makes_one_template(running: Running) -> None:
    sandbox = await running.created()

    async def create(name: str = "once") -> UUID | None:
        outcome = await running.services.templates.create(
            running.principal, sandbox.id, name, idempotency_key="key of a template"
        )
        return outcome.operation.id

    assert len(set(await asyncio.gather(*(create() for _ in range(20))))) == 1
    assert await create() is not None
    assert await _template_rows(running) == [("once", "ready")]
    with pytest.raises(Conflict) as refused:
        await create("other")
    assert refused.value.code == "IDEMPOTENCY_CONFLICT"


@pytest.mark.parametrize("name", ["base", "nestbox-web", "platform"])
async def test_names_of_the_platform_are_refused(running: Running, name: str) -> None:
    sandbox = await running.created()
    with pytest.raises(Forbidden) as refused:
        await running.services.templates.create(running.principal, sandbox.id, name)
    assert refused.value.code == "TEMPLATE_NAME_RESERVED"
    assert await running.get(sandbox.id) == sandbox


async def test_names_that_the_platform_has_given_are_refused(running: Running) -> None:
    await running.database.execute(
        "INSERT INTO templates (id, team_id, name, type, disk_size_mb, created_at) VALUES ($1, $2, $3, 'base', 5120, "
        "now())",
        new_id(),
        PLATFORM_TEAM_ID,
        "python",
    )
    with pytest.raises(Forbidden):
        await running.services.templates.create(running.principal, (await running.created()).id, "python")


async def test_a_refusal_leaves_the_sandbox_as_it_was_and_the_name_free(running: Running, served: Served) -> None:
    sandbox = await running.created()
    served.driver.faults.inject("snapshot.save", Fail(AgentError(Code.DISK_FULL, "The disk is full.")))
    failed = await running.services.templates.create(running.principal, sandbox.id, "again")
    assert failed.template is None
    assert (failed.operation.state, failed.operation.error_code) == (OperationState.FAILED, "DISK_FULL")
    after = await running.comes_to(sandbox.id, State.RUNNING)
    assert after.goal is Goal.RUNNING
    assert await _template_rows(running) == [("again", "deleted")]
    assert await running.database.fetchval("SELECT count(*) FROM template_hosts") == 0
    assert (await running.template("again", sandbox.id)).name == "again"


async def test_a_template_that_cannot_be_finished_fails_alone(running: Running, served: Served) -> None:
    sandbox = await running.created()
    served.driver.faults.inject("make_template", Fail(AgentError(Code.DISK_FULL, "The disk is full.")))
    failed = await running.services.templates.create(running.principal, sandbox.id, "again")
    assert failed.template is None
    assert (failed.operation.state, failed.operation.error_code, failed.operation.error_retryable) == (
        OperationState.FAILED,
        "DISK_FULL",
        True,
    )
    assert (await running.get(sandbox.id)).state is State.RUNNING
    assert await running.template_names() == {"base"}
    await running.template("again", sandbox.id)


async def test_a_machine_that_dies_meanwhile_is_stopped_and_there_is_no_template(
    running: Running, served: Served
) -> None:
    sandbox = await running.created()
    served.driver.faults.inject("snapshot.save", Die(Death(MachineCause.OUT_OF_MEMORY, "It ran out of memory.")))
    begun = await running.services.templates.create(running.principal, sandbox.id, "mine", wait_seconds=0)
    stopped = await running.comes_to(sandbox.id, State.STOPPED)
    assert stopped.cause is Cause.OUT_OF_MEMORY
    assert (await running.ended(begun.operation.id)).state is OperationState.FAILED
    assert await _template_rows(running) == [("mine", "deleted")]

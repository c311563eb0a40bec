"""Machines without a row: destroyed if this control plane had them made, left alone if nobody can say."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from agent.drivers.simulated import Fail
from agent.errors import AgentError, Code
from api.db import inventory
from api.db.database import Database, Row
from api.domain.command import ExecCommand
from api.domain.sandbox import State
from api.ids import Kind, wire_id
from tests.agent.serving import Served, new_sandbox
from tests.api.reconciler.conftest import passes
from tests.api.running import Running, services_running
from tests.waiting import eventually

TRUE = ExecCommand(argv=("true",))


async def _without_row(running: Running) -> str:
    """The machine of a sandbox whose row is gone, as after the database went back to an older copy."""
    sandbox = await running.created()
    for table, column in (("events", "sandbox_id"), ("operations", "sandbox_id"), ("sandboxes", "id")):
        await running.database.execute(f"DELETE FROM {table} WHERE {column} = $1", sandbox.id)  # noqa: S608
    return wire_id(Kind.SANDBOX, sandbox.id)


async def _pass_time(running: Running, **time: float) -> None:
    await passes(running, 1)
    running.clock.offset += timedelta(**time)
    await passes(running, 1)


async def _is(served: Served, stray: str, state: str) -> bool:
    return await served.state(stray) == state


async def test_a_machine_of_ours_without_a_row_is_destroyed_after_a_grace(running: Running, served: Served) -> None:
    kept = await running.created()
    stray = await _without_row(running)
    await passes(running, 5)
    assert await served.state(stray) == "running"
    await _pass_time(running, seconds=11)
    await eventually(lambda: _is(served, stray, "deleted"))
    assert await served.driver.leftovers() == {kept.id}
    await passes(running, 2)
    assert running.status()[0].summary == "nothing to do"
    assert (await running.services.exec.run(running.principal, kept.id, TRUE)).exit_code == 0


async def test_a_machine_that_is_not_known_to_be_ours_is_left_alone_and_said(running: Running, served: Served) -> None:
    strangers = {new_sandbox(): "", new_sandbox(): str(uuid4())}
    for stranger, cluster_id in strangers.items():
        await served.create(stranger, cluster_id=cluster_id)
    await _pass_time(running, days=365)
    assert [await served.state(stranger) for stranger in strangers] == ["running", "running"]
    assert "2 left alone" in running.status()[0].summary


async def test_a_machine_that_came_back_after_its_sandbox_was_deleted_is_destroyed(
    running: Running, served: Served
) -> None:
    sandbox = await running.created()
    await running.database.execute(
        "UPDATE sandboxes SET state = 'deleted', goal = 'gone', generation = 7, deleted_at = now() WHERE id = $1",
        sandbox.id,
    )
    await _pass_time(running, seconds=11)
    machine = wire_id(Kind.SANDBOX, sandbox.id)
    await eventually(lambda: _is(served, machine, "deleted"))
    assert (await served.inventory())[machine].generation == 7


async def test_a_row_that_was_written_after_the_rows_were_read_keeps_its_machine(
    running: Running, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def before_anything_was_written(database: Database, host_id: UUID) -> Sequence[Row]:
        return []

    with monkeypatch.context() as slow:
        # each pass sees the rows as they were before any sandbox was made, and the machines as they are
        slow.setattr(inventory, "of_host", before_anything_was_written)
        made = [await running.created() for _ in range(3)]
        for _ in range(3):
            await _pass_time(running, hours=1)
        assert running.status()[0].summary == "nothing to do"
    await passes(running, 2)
    for sandbox in made:
        assert (await running.services.exec.run(running.principal, sandbox.id, TRUE)).exit_code == 0
    assert {machine.generation for machine in (await served.inventory()).values()} == {1}


async def test_sandboxes_that_are_being_made_survive_any_number_of_passes(running: Running, served: Served) -> None:
    over = asyncio.Event()

    async def look_again_and_again() -> None:
        while not over.is_set():
            await _pass_time(running, seconds=60)

    async with asyncio.TaskGroup() as group:
        group.create_task(look_again_and_again())
        made = await asyncio.gather(*(running.created() for _ in range(20)))
        over.set()
    await passes(running, 2)
    assert [(await running.get(sandbox.id)).state for sandbox in made] == [State.RUNNING] * len(made)
    assert len([m for m in (await served.inventory()).values() if m.generation == 1]) == len(made)


async def test_a_machine_that_could_not_be_removed_is_tried_again(running: Running, served: Served) -> None:
    stray = await _without_row(running)
    served.driver.faults.inject("remove", Fail(AgentError(Code.INTERNAL, "The disk does not answer.")))
    await _pass_time(running, seconds=11)
    await eventually(lambda: _is(served, stray, "deleted"))
    assert served.driver.faults.unfired == 0
    assert (await served.inventory())[stray].generation > 2


async def test_two_replicas_that_destroy_it_at_once_do_no_harm(
    database_url: str, host: tuple[Served, str], tmp_path: Path
) -> None:
    served, address = host
    async with services_running(database_url, address) as one, services_running(database_url, address) as two:
        stray = await _without_row(one)
        sandbox_id, host_id = UUID(stray.removeprefix("sb-")), next(iter(one.services.resources.hosts.host_ids))
        # they may have looked at different times, and so know different generations
        for replica, generation in ((one, 2), (two, 2), (two, 3)):
            replica.services.strays.destroy(host_id, sandbox_id, generation)
        await eventually(lambda: not one.services.strays._under_way and not two.services.strays._under_way)
        assert await served.state(stray) == "deleted"
        assert await served.driver.leftovers() == frozenset()

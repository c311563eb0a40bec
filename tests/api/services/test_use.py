"""A sandbox that is paused between the look at it and its use."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from agent.drivers.simulated.faults import Hang
from api.domain.command import ExecCommand
from api.domain.operation import OperationState
from api.domain.sandbox import Cause, State
from api.errors import Conflict, NestboxError, Unavailable
from api.hosts.client import HostClient
from api.ids import Kind, wire_id
from api.services import use
from api.services.files import REPEATED_BYTES_MAX
from tests.agent.serving import Served
from tests.api.running import Running
from tests.api.services.test_exec_and_files import chunks
from tests.waiting import eventually

PATH = "/root/file"


async def _exec(running: Running, sandbox_id: UUID) -> bytes:
    command = ExecCommand(argv=("cat", PATH))
    return (await running.services.exec.run(running.principal, sandbox_id, command)).stdout


async def _read(running: Running, sandbox_id: UUID) -> bytes:
    download = await running.services.files.open(running.principal, sandbox_id, PATH)
    return b"".join([chunk async for chunk in download.content])


async def _write(running: Running, sandbox_id: UUID) -> bytes:
    content = (b"new", b"", b"x" * (REPEATED_BYTES_MAX - 3))
    size = await running.services.files.write(running.principal, sandbox_id, PATH, chunks(*content))
    assert await _read(running, sandbox_id) == b"".join(content)
    assert size == REPEATED_BYTES_MAX
    return b"old"


Use = Callable[[Running, UUID], Coroutine[Any, Any, bytes]]
USES: dict[str, Use] = {"exec": _exec, "read_file": _read, "write_file": _write}


class Calls:
    """How often a call of the client of hosts was made; it is made all the same."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.count = 0
        made = getattr(HostClient, name)

        def counted(client: HostClient, *arguments: Any) -> Any:
            self.count += 1
            return made(client, *arguments)

        monkeypatch.setattr(HostClient, name, counted)


@asynccontextmanager
async def _paused_unheard(running: Running, served: Served, **changes: object) -> AsyncIterator[UUID]:
    """A sandbox that its host has paused for idleness, while the control plane has it as running: no report of it can
    be written until this ends, since somebody else holds its row."""
    sandbox = await running.created(timeout_sec=1, **changes)
    await running.services.files.write(running.principal, sandbox.id, PATH, chunks(b"old"))
    async with running.database.transaction():
        await running.database.execute("SELECT FROM sandboxes WHERE id = $1 FOR UPDATE", sandbox.id)
        await eventually(lambda: _is_paused(served, sandbox.id))
        assert (await running.get(sandbox.id)).state is State.RUNNING
        yield sandbox.id


async def _is_paused(served: Served, sandbox_id: UUID) -> bool:
    return await served.state(wire_id(Kind.SANDBOX, sandbox_id)) == "paused"


@pytest.mark.parametrize("name", USES)
async def test_what_is_paused_just_before_its_use_is_resumed_for_it(
    running: Running, served: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async with asyncio.TaskGroup() as group, _paused_unheard(running, served, auto_resume=True) as sandbox_id:
        calls = Calls(monkeypatch, name)
        using = group.create_task(USES[name](running, sandbox_id))
        # so the host has refused it once at least
        await eventually(lambda: calls.count > 1)
        assert not using.done()
    assert using.result() == b"old"
    resumed = await running.get(sandbox_id)
    assert (resumed.state, resumed.cause) == (State.RUNNING, Cause.AUTO_RESUME)


@pytest.mark.parametrize("name", USES)
async def test_where_that_is_not_wanted_its_state_is_said(
    running: Running, served: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async with _paused_unheard(running, served, auto_resume=False) as sandbox_id:
        calls = Calls(monkeypatch, name)
        with pytest.raises(Conflict) as refused:
            await USES[name](running, sandbox_id)
        assert (refused.value.code, refused.value.message) == ("WRONG_STATE", "The sandbox is paused, not running.")
    assert calls.count == 1
    assert (await running.comes_to(sandbox_id, State.PAUSED)).cause is Cause.IDLE_TIMEOUT


async def test_what_nobody_hears_of_in_time_is_given_up(
    running: Running, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use, "RESUME_SECONDS", 0.3)
    async with _paused_unheard(running, served, auto_resume=True) as sandbox_id:
        with pytest.raises(Conflict) as refused:
            await _exec(running, sandbox_id)
        assert refused.value.code == "WRONG_STATE"


async def test_an_upload_of_which_the_beginning_is_gone_is_not_sent_again(
    running: Running, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _paused_unheard(running, served, auto_resume=True) as sandbox_id:
        calls = Calls(monkeypatch, "write_file")
        content = chunks(b"x" * (REPEATED_BYTES_MAX + 1))
        with pytest.raises(Conflict) as refused:
            await running.services.files.write(running.principal, sandbox_id, PATH, content)
        assert refused.value.code == "WRONG_STATE"
    assert calls.count == 1
    assert await _read(running, sandbox_id) == b"old"


async def test_a_command_that_has_begun_is_not_run_twice(
    running: Running, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = await running.created(auto_resume=True)
    calls = Calls(monkeypatch, "exec")

    async def run() -> NestboxError | None:
        try:
            await running.services.exec.run(running.principal, sandbox.id, ExecCommand(argv=("sleep", "60")))
        except NestboxError as error:
            return error
        return None

    task = asyncio.ensure_future(run())
    await eventually(lambda: any(keeper.lifecycle.timer.users for keeper in served.host._keepers.values()))
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    assert isinstance(await task, (Conflict, Unavailable))
    assert calls.count == 1
    assert (await running.get(sandbox.id)).state is State.PAUSED


async def test_what_is_being_snapshotted_can_be_used(running: Running, served: Served) -> None:
    sandbox, hang = await running.created(), Hang()
    await running.services.files.write(running.principal, sandbox.id, PATH, chunks(b"old"))
    served.driver.faults.inject("snapshot.save", hang)
    begun = await running.services.templates.create(running.principal, sandbox.id, "used", wait_seconds=0)
    await asyncio.wait_for(hang.reached.wait(), 10)
    assert (await running.get(sandbox.id)).state is State.SNAPSHOTTING
    for work in USES.values():
        assert await work(running, sandbox.id) in {b"old", b""}
    hang.released.set()
    assert (await running.ended(begun.operation.id)).state is OperationState.SUCCEEDED


async def test_what_is_snapshotted_while_it_is_paused_cannot_be_used(running: Running, served: Served) -> None:
    sandbox, hang = await running.created(), Hang()
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    served.driver.faults.inject("snapshot.save", hang)
    begun = await running.services.templates.create(running.principal, sandbox.id, "unused", wait_seconds=0)
    await asyncio.wait_for(hang.reached.wait(), 10)
    with pytest.raises(Conflict) as refused:
        await _exec(running, sandbox.id)
    assert refused.value.code == "WRONG_STATE"
    hang.released.set()
    assert (await running.ended(begun.operation.id)).state is OperationState.SUCCEEDED

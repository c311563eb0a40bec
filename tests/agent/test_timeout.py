"""Changing the idle timeout over gRPC, on the simulated driver."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from agent.errors import Code
from tests.agent.serving import Served, new_sandbox, refused, serving, state_of


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def test_it_is_changed_in_every_state_that_can_run_again(agent: Served) -> None:
    sandbox_id = new_sandbox()
    created = await agent.create(sandbox_id, timeout_sec=60)
    changed = await agent.set_timeout(sandbox_id, 90)
    assert (state_of(changed), changed.timeout_sec, changed.generation) == ("running", 90, 1)
    assert changed.sequence > created.sequence
    await agent.pause(sandbox_id, 2)
    paused = await agent.set_timeout(sandbox_id, 0)
    assert (state_of(paused), paused.timeout_sec) == ("paused", 0)


async def test_its_generation_is_judged_if_it_has_one(agent: Served) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, 3)
    with refused(Code.STALE_GENERATION):
        await agent.set_timeout(sandbox_id, 90, generation=2)
    assert (await agent.set_timeout(sandbox_id, 90, generation=3)).generation == 3
    changed = await agent.set_timeout(sandbox_id, 91, generation=5)
    assert (changed.generation, changed.timeout_sec) == (5, 91)
    with refused(Code.STALE_GENERATION):
        await agent.pause(sandbox_id, 4)
    assert (await agent.set_timeout(sandbox_id, 91, generation=5)).timeout_sec == 91
    assert state_of(await agent.pause(sandbox_id, 6)) == "paused"


async def test_what_is_not_there_has_no_timeout(agent: Served) -> None:
    sandbox_id = new_sandbox()
    with refused(Code.NO_SUCH_MACHINE):
        await agent.set_timeout(sandbox_id, 90)
    await agent.create(sandbox_id)
    with refused(Code.INVALID):
        await agent.set_timeout(sandbox_id, 2**31)
    await agent.destroy(sandbox_id, 2)
    with refused(Code.NO_SUCH_MACHINE):
        await agent.set_timeout(sandbox_id, 90)

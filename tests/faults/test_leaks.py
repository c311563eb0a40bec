"""Lives of sandboxes leave nothing behind in the programs: no task, no open file, no keeper."""

import asyncio
import os
from pathlib import Path

from api.domain.sandbox import State
from tests.api.running import Running, host_running, services_running
from tests.waiting import eventually

LANES, LIVES = 4, 40


async def _live(running: Running) -> None:
    sandboxes, principal = running.services.sandboxes, running.principal
    sandbox = await running.created()
    await sandboxes.pause(principal, sandbox.id)
    await sandboxes.resume(principal, sandbox.id)
    outcome = await sandboxes.delete(principal, sandbox.id)
    assert outcome.sandbox.state is State.DELETED


async def _lives(running: Running, count: int) -> None:
    for _ in range(count // LANES):
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(_live(running))


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - links that may be gone at once


async def test_lives_leave_no_task_and_no_open_file(database_url: str, tmp_path: Path) -> None:
    async with (
        host_running(tmp_path / "agent") as (served, address),
        services_running(database_url, address) as running,
    ):
        await _lives(running, LANES * 2)
        tasks, files = len(asyncio.all_tasks()), _open_files()
        await _lives(running, LIVES)
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
        await eventually(lambda: _open_files() <= files + LANES)
        await eventually(lambda: not served.host._keepers and not running.services.commands.under_way)
        assert list((tmp_path / "agent/simulated").iterdir()) == []

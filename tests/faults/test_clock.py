"""The clock of one process jumps: nothing expires by it, neither sandboxes nor keys, and idle time is as it was."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from nestbox.postgres import Postgres
from tests.conftest import migrated_database
from tests.faults.clock import PACKAGE, library
from tests.faults.lane import IDLE_SECONDS, Lane
from tests.faults.processes import Program
from tests.faults.site import settled
from tests.waiting import eventually

HOURS, YEARS = 3600, 365 * 24 * 3600
JUMPS = (2 * HOURS, -2 * HOURS, 10 * YEARS)
"""Each in seconds ahead of the true time."""
LONG_SECONDS = 1800
"""A timeout that is far away by the true clock, and long over by one that jumped."""

_PASSED = "SELECT last_seen_at FROM hosts"


@pytest.mark.skipif(library() is None, reason=f"the package {PACKAGE} is missing")
@pytest.mark.timeout(180)
async def test_a_clock_that_jumps_in_one_process_ends_nothing(postgres: Postgres, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for name in ("agent", "api"):
            group.create_task(_nothing_expires(postgres, tmp_path / name, name))


async def _nothing_expires(postgres: Postgres, folder: Path, name: str) -> None:
    async with (
        migrated_database(postgres) as url,
        Lane.opened(url, folder, settable_clocks=True) as lane,
    ):
        struck: Program = lane.agent if name == "agent" else lane.api
        kept = {await lane.create(): "RUNNING", await lane.create(timeout_sec=LONG_SECONDS): "RUNNING"}
        paused = await lane.create()
        await lane.commanded("pause", paused, wait_seconds=30)
        kept[paused] = "PAUSED"
        for seconds in JUMPS:
            struck.set_clock(seconds)
            idle = await lane.create(timeout_sec=IDLE_SECONDS)
            await _is_compared(url)
            # the reaper has made its pass when it has found this one
            await lane.comes_to(idle, "PAUSED")
            found = await lane.client.ask("{ sandboxes(first: 100) { nodes { id state } } }")
            states = {node["id"]: node["state"] for node in found["nodes"]}
            assert {key: states[key] for key in kept} == kept, f"{name} {seconds:+d} s"
            for sandbox_id in (paused, idle):
                await lane.commanded("resume", sandbox_id, wait_seconds=30)
            await lane.commanded("delete", idle, wait_seconds=30)
            await lane.commanded("pause", paused, wait_seconds=30)
            assert abs(_clock_of(struck) - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(minutes=1)
        struck.set_clock(0)
        assert await settled(url, lane.agent) == []


def _clock_of(program: Program) -> datetime:
    """The time of its newest line in the log."""
    return datetime.fromisoformat(json.loads(program.log.splitlines()[-1])["timestamp"])


async def _is_compared(database_url: str) -> None:
    """Returns when a comparison of inventories has begun, whatever the clock says."""
    connection = await asyncpg.connect(database_url)
    try:
        before = await connection.fetchval(_PASSED)

        async def has_begun() -> bool:
            return bool(await connection.fetchval(_PASSED) != before)

        await eventually(has_begun, poll_seconds=0.05)
    finally:
        await connection.close()

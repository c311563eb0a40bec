"""What an agent does by itself, again and again."""

import asyncio
from pathlib import Path

import pytest

from agent.errors import Code
from tests.agent.serving import refused, running, serving, state_of, uuid_of
from tests.waiting import eventually


async def test_a_ledger_that_cannot_be_written_does_not_end_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.host.HOUSEKEEPING_SECONDS", 0.01)
    async with serving(tmp_path) as agent:
        parent, ledger = await running(agent), agent.host._parts.ledger
        await ledger._in_thread(lambda: ledger._connection.execute("PRAGMA query_only = 1"))
        # what is looked at after the ledger in each round
        agent.host._stored._waiting = [uuid_of(parent)]
        await agent.ping(parent)
        async with asyncio.TaskGroup() as group:
            house = group.create_task(agent.host.keep_house())
            await eventually(lambda: not agent.host._stored._waiting)
            await agent.write(parent, "/root/big", bytes(1_000_000))
            agent.host._stored._waiting = [uuid_of(parent)]

            async def is_told() -> bool:
                return (await agent.inventory())[parent].stored_bytes >= 1_000_000

            await eventually(is_told)
            assert not house.done()
            house.cancel()
        with refused(Code.DISK_FULL):
            await agent.pause(parent, 2)
        await ledger._in_thread(lambda: ledger._connection.execute("PRAGMA query_only = 0"))
        assert state_of(await agent.pause(parent, 2)) == "paused"

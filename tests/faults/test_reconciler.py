"""An empty inventory, a partial one or none is never read as "all gone"."""

from datetime import timedelta
from pathlib import Path

from api.domain.sandbox import State
from tests.faults.processes import Agent
from tests.faults.site import Site, agent_running
from tests.waiting import eventually


async def _passes(site: Site, count: int) -> None:
    """So many more passes over inventories, however they end."""

    def runs() -> int:
        return site.running.status()[0].runs

    until = runs() + count
    while runs() < until:
        seen = runs()
        site.look()
        await eventually(lambda seen=seen: runs() > seen, 30)


async def test_a_host_that_is_away_for_hours_comes_back_with_everything(database_url: str, tmp_path: Path) -> None:
    async with agent_running(tmp_path / "agent") as agent, Site.opened(database_url, agent) as site:
        runs = await site.create("runs")
        paused = await site.create("paused")
        assert runs is not None
        assert paused is not None
        await site.running.services.sandboxes.pause(site.running.principal, paused.id)
        agent.kill()
        site.running.clock.offset += timedelta(hours=5)
        await _passes(site, 3)
        assert await site.state(runs.id) is State.RUNNING
        assert await site.state(paused.id) is State.PAUSED
        await agent.start()
        assert await site.settled() == []
        assert await site.state(runs.id) is State.RUNNING
        assert await site.state(paused.id) is State.PAUSED


async def test_another_host_at_the_same_address_says_nothing_of_the_first(database_url: str, tmp_path: Path) -> None:
    async with agent_running(tmp_path / "first") as first, Site.opened(database_url, first) as site:
        sandbox = await site.create("of the first")
        assert sandbox is not None
        first.kill()
        other = Agent(tmp_path / "other", port=first.port)
        try:
            await other.start()
            hosts = site.running.services.resources.hosts
            await eventually(lambda: len(hosts.host_ids) > 0 and sandbox.host_id not in hosts.host_ids, 30)
            # ages count from the first look: whatever is lost is given up hours after it
            await _passes(site, 1)
            site.running.clock.offset += timedelta(hours=5)
            await _passes(site, 3)
            assert await site.state(sandbox.id) is State.RUNNING
        finally:
            other.kill()
        await first.start()
        assert await site.settled() == []
        assert await site.state(sandbox.id) is State.RUNNING

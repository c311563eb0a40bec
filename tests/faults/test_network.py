"""The network between the control plane and a host is slow or breaks off: outcomes are read again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.domain.sandbox import State
from tests.faults.proxy import Proxy
from tests.faults.site import Site, agent_running
from tests.waiting import eventually

LATENCY_MS = 150
"""Of each step of a simulated machine: long enough that a fault meets a command in the middle."""


@asynccontextmanager
async def behind_proxy(database_url: str, folder: Path) -> AsyncIterator[tuple[Site, Proxy]]:
    async with (
        agent_running(folder / "agent", latency_ms=LATENCY_MS) as agent,
        Proxy.before(agent.port) as proxy,
        Site.opened(database_url, agent, address=proxy.address) as site,
    ):
        yield site, proxy


async def test_a_slow_network_only_takes_longer(database_url: str, tmp_path: Path) -> None:
    async with behind_proxy(database_url, tmp_path) as (site, proxy):
        proxy.delay_seconds = 0.3
        sandbox = await site.create("slow")
        assert sandbox is not None
        assert sandbox.state is State.RUNNING
        assert await site.settled() == []


@pytest.mark.parametrize("step", ["create", "pause", "resume", "delete"])
async def test_a_connection_that_is_reset_in_the_middle_changes_no_outcome(
    database_url: str, tmp_path: Path, step: str
) -> None:
    async with behind_proxy(database_url, tmp_path) as (site, proxy):
        sandboxes, principal = site.running.services.sandboxes, site.running.principal
        first = await site.create("reset", wait_seconds=0 if step == "create" else 30)
        assert first is not None
        if step == "resume":
            await sandboxes.pause(principal, first.id)
        if step != "create":
            await getattr(sandboxes, step)(principal, first.id, wait_seconds=0)
        await reaches_host(site)
        proxy.reset()
        assert await site.settled() == []
        expected = {"pause": State.PAUSED, "delete": State.DELETED}.get(step, State.RUNNING)
        assert await site.state(first.id) is expected
        again = await site.create("reset")
        assert again is not None
        assert again.id == first.id


async def reaches_host(site: Site) -> None:
    """Waits until the agent is at it."""
    machines: dict[str, object] = {}

    async def knows() -> bool:
        async with site.agent.client() as client:
            machines.update(await client.inventory())
        return bool(machines)

    await eventually(knows)
    await asyncio.sleep(0)

"""The network between the control plane and a host is slow, silent, one-way or breaks off: outcomes are read again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.domain.sandbox import UNREACHABLE, State, shown_state
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
        await _reaches_host(site)
        proxy.reset()
        assert await site.settled() == []
        expected = {"pause": State.PAUSED, "delete": State.DELETED}.get(step, State.RUNNING)
        assert await site.state(first.id) is expected
        again = await site.create("reset")
        assert again is not None
        assert again.id == first.id


@pytest.mark.parametrize(("requests", "answers"), [(True, True), (False, True)], ids=["silent", "one way"])
async def test_while_nothing_arrives_nothing_is_concluded(
    database_url: str, tmp_path: Path, requests: bool, answers: bool
) -> None:
    async with behind_proxy(database_url, tmp_path) as (site, proxy):
        sandbox = await site.create("kept")
        assert sandbox is not None
        proxy.swallow(requests=requests, answers=answers)
        running = site.running

        async def is_shown() -> bool:
            return shown_state(await running.get(sandbox.id)) == UNREACHABLE

        await eventually(is_shown, 40)
        assert await site.state(sandbox.id) is State.RUNNING
        deleting = await running.services.sandboxes.delete(running.principal, sandbox.id, wait_seconds=0)
        assert deleting.sandbox.state is State.DELETING
        proxy.swallow(requests=False, answers=False)
        assert await site.settled() == []
        assert await site.state(sandbox.id) is State.DELETED


async def test_a_connection_that_died_without_a_word_is_given_up(database_url: str, tmp_path: Path) -> None:
    """Packets of old connections go nowhere, new connections work: so it is after a firewall forgot them."""
    async with behind_proxy(database_url, tmp_path) as (site, proxy):
        sandbox = await site.create("forgotten", wait_seconds=0)
        assert sandbox is not None
        await _reaches_host(site)
        proxy.forget()
        assert await site.settled(40) == []
        assert await site.state(sandbox.id) is State.RUNNING


async def _reaches_host(site: Site) -> None:
    """Waits until the agent is at it."""
    machines: dict[str, object] = {}

    async def knows() -> bool:
        async with site.agent.client() as client:
            machines.update(await client.inventory())
        return bool(machines)

    await eventually(knows)
    await asyncio.sleep(0)

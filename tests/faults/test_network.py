"""The network between the control plane and a host is slow, silent, one-way or breaks off: outcomes are read again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from api.domain.sandbox import UNREACHABLE, State, shown_state
from api.reconciler.plan import RESEND_AFTER_SECONDS
from nestbox.postgres import Postgres
from tests.conftest import migrated_database
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


async def test_while_nothing_arrives_nothing_is_concluded(postgres: Postgres, tmp_path: Path) -> None:
    """Neither from a host that is silent, nor from one that hears and cannot be heard; both at once, since it takes
    the time after which a host counts as unreachable."""
    async with asyncio.TaskGroup() as group:
        for name, requests in (("silent", True), ("one-way", False)):
            group.create_task(_nothing_is_concluded(postgres, tmp_path / name, requests=requests))


async def _nothing_is_concluded(postgres: Postgres, folder: Path, *, requests: bool) -> None:
    async with migrated_database(postgres) as database_url, behind_proxy(database_url, folder) as (site, proxy):
        sandbox = await site.create("kept")
        assert sandbox is not None
        proxy.swallow(requests=requests, answers=True)
        running = site.running
        _look(site)

        async def is_shown() -> bool:
            return shown_state(await running.get(sandbox.id)) == UNREACHABLE

        await eventually(is_shown, 40)
        assert await site.state(sandbox.id) is State.RUNNING
        deleting = await running.services.sandboxes.delete(running.principal, sandbox.id, wait_seconds=0)
        assert deleting.sandbox.state is State.DELETING
        proxy.swallow(requests=False, answers=False)
        # so the delete is due to be sent again as soon as the host is found to answer
        running.clock.offset += timedelta(seconds=RESEND_AFTER_SECONDS)
        assert await site.settled() == []
        assert await site.state(sandbox.id) is State.DELETED


def _look(site: Site) -> None:
    """Inventories are compared now, not in some seconds."""
    for host_id in site.running.services.resources.hosts.host_ids:
        site.running.services.commands._in_doubt(host_id)


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

"""A host falls silent: packets are lost both ways or one way, connections die without a word, or the agent is stopped.

Each takes the time after which a host counts as unreachable, so all are tried side by side.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from api.domain.sandbox import UNREACHABLE, State, shown_state
from nestbox.postgres import Postgres
from tests.conftest import migrated_database
from tests.faults.proxy import Proxy
from tests.faults.site import Site
from tests.faults.test_network import behind_proxy, reaches_host
from tests.waiting import eventually

Scenario = Callable[[Site, Proxy], Awaitable[None]]


async def _nothing_arrives(site: Site, proxy: Proxy) -> None:
    await _is_unreachable_and_nothing_else(site, lambda: proxy.swallow(requests=True, answers=True))
    proxy.swallow(requests=False, answers=False)
    await _goes_on(site)


async def _nothing_comes_back(site: Site, proxy: Proxy) -> None:
    await _is_unreachable_and_nothing_else(site, lambda: proxy.swallow(requests=False, answers=True))
    proxy.swallow(requests=False, answers=False)
    await _goes_on(site)


async def _agent_is_stopped(site: Site, proxy: Proxy) -> None:
    """What was sent to it before is obeyed late or fenced by what was sent after: the end is the same."""
    del proxy

    def stop() -> None:
        site.agent.send(signal.SIGSTOP)

    await _is_unreachable_and_nothing_else(site, stop, pauses=True)
    site.agent.send(signal.SIGCONT)
    await _goes_on(site)


async def _connections_are_forgotten(site: Site, proxy: Proxy) -> None:
    """Packets of old connections go nowhere, new connections work: so it is after a firewall forgot them."""
    sandbox = await site.create("forgotten", wait_seconds=0)
    assert sandbox is not None
    await reaches_host(site)
    proxy.forget()
    assert await site.settled(40) == []
    assert await site.state(sandbox.id) is State.RUNNING


SCENARIOS: dict[str, Scenario] = {
    "silent": _nothing_arrives,
    "one-way": _nothing_comes_back,
    "stopped": _agent_is_stopped,
    "forgotten": _connections_are_forgotten,
}


@pytest.mark.slow
async def test_a_host_that_falls_silent_loses_nothing(postgres: Postgres, tmp_path: Path) -> None:
    async def try_out(name: str, scenario: Scenario) -> None:
        async with (
            migrated_database(postgres) as database_url,
            behind_proxy(database_url, tmp_path / name) as (site, proxy),
        ):
            await scenario(site, proxy)

    async with asyncio.TaskGroup() as group:
        for name, scenario in SCENARIOS.items():
            group.create_task(try_out(name, scenario), name=name)


async def _is_unreachable_and_nothing_else(site: Site, strike: Callable[[], None], *, pauses: bool = False) -> None:
    """Two sandboxes run when it strikes; one is deleted meanwhile, after a pause of it was maybe sent in vain."""
    kept, deleted = await site.create("kept"), await site.create("deleted")
    assert kept is not None
    assert deleted is not None
    running = site.running
    sandboxes, principal = running.services.sandboxes, running.principal
    strike()
    if pauses:
        assert (await sandboxes.pause(principal, deleted.id, wait_seconds=0)).sandbox.state is State.PAUSING
    site.look()

    async def is_shown() -> bool:
        return shown_state(await running.get(kept.id)) == UNREACHABLE

    await eventually(is_shown, 40)
    assert await site.state(kept.id) is State.RUNNING
    assert (await sandboxes.delete(principal, deleted.id, wait_seconds=0)).sandbox.state is State.DELETING


async def _goes_on(site: Site) -> None:
    await site.make_due()
    assert await site.settled() == []
    kept, deleted = await site.create("kept"), await site.create("deleted")
    assert kept is not None
    assert deleted is not None
    assert (kept.state, deleted.state) == (State.RUNNING, State.DELETED)

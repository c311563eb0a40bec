"""Hosts that say they are another host: nothing is believed of them."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from agent.certificates import Certificates
from api.domain.sandbox import State
from api.domain.status import TaskStatus
from api.errors import Unavailable
from api.hosts.authority import HOST_LIFETIME, Authority
from api.reconciler import host as reconciler_host
from tests.api.joining import free_address, is_reachable, joins, secure_agent
from tests.api.running import Running, agent_at, services_running
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts are given up sooner, and asked again sooner."""
    monkeypatch.setattr(reconciler_host, "UNREACHABLE_AFTER_SECONDS", 0.2)
    monkeypatch.setattr(reconciler_host, "RETRY_SECONDS", 0.05)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority", datetime.now(UTC))


def poses_as(folder: Path, identity: UUID) -> None:
    """The agent on this data directory says from its next start on that it is this host."""
    (folder / "host-id").write_text(f"{identity}\n")


async def row(running: Running, identity: UUID) -> asyncpg.Record:
    found = await running.database.fetchrow("SELECT * FROM hosts WHERE id = $1", identity)
    assert found is not None
    return found


async def refused(running: Running, address: str, words: str) -> None:
    """Several passes over the host at this address have been refused with these words."""

    def holds() -> bool:
        return status().failures >= before + 3 and words in status().summary

    def status() -> TaskStatus:
        (found,) = [status for status in running.status() if status.name == f"inventory of {address}"]
        return found

    await eventually(lambda: any(status.name == f"inventory of {address}" for status in running.status()))
    before = status().failures
    await eventually(holds)


async def test_a_joined_host_that_says_it_is_another_is_refused_and_gets_no_certificate(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    here, there = free_address(), free_address()
    async with services_running(database_url, authority=authority) as running:
        victim = await joins(running, second, there)
        async with secure_agent(second, there):
            await eventually(lambda: is_reachable(running, victim))
            sandbox = await running.created()
        await eventually(lambda: _is_silent(running, victim))
        before = await row(running, victim)

        impostor = await joins(running, first, here)
        async with secure_agent(first, here):
            await eventually(lambda: is_reachable(running, impostor))
        # its certificate is due for renewal
        certificates, now = Certificates(first / "tls"), datetime.now(UTC)
        request = certificates.request(f"host-{impostor}")
        certificates.install(authority.certify_host(request, impostor, now - HOST_LIFETIME * 0.7)[0], None, now)
        poses_as(first, victim)
        async with secure_agent(first, here) as (_, link):
            expires_at = link.expires_at
            await refused(running, here, f"this is host-{impostor}, and it says that it is host-{victim}")
            assert link.expires_at == expires_at
            await eventually(lambda: _is_silent(running, impostor))
            assert await row(running, victim) == before
            assert running.services.resources.hosts.client(victim).address == there
            assert (await running.get(sandbox.id)).state is State.RUNNING


async def _is_silent(running: Running, identity: UUID) -> bool:
    return not await is_reachable(running, identity)


async def test_a_host_that_is_called_with_the_token_cannot_be_one_that_has_joined(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    near, here = tmp_path / "near", free_address()
    async with AsyncExitStack() as platform:
        agent = await platform.enter_async_context(AsyncExitStack())
        await agent.enter_async_context(agent_at(near, here))
        running = await platform.enter_async_context(services_running(database_url, here, authority=authority))
        await agent.aclose()
        victim = await joins(running, tmp_path / "far", free_address())
        before = await row(running, victim)

        poses_as(near, victim)
        await platform.enter_async_context(agent_at(near, here))
        await refused(running, here, f"it is host-{victim}, but that host has joined")
        assert await row(running, victim) == before
        with pytest.raises(Unavailable):
            running.services.resources.hosts.client(victim)


async def test_a_host_of_the_settings_that_has_joined_is_not_called_silent_where_it_was(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    folder, here, there = tmp_path / "host", free_address(), free_address()
    async with AsyncExitStack() as platform:
        agent = await platform.enter_async_context(AsyncExitStack())
        await agent.enter_async_context(agent_at(folder, here))
        running = await platform.enter_async_context(services_running(database_url, here, authority=authority))
        sandbox = await running.created()
        identity = await joins(running, folder, there, again=True)
        await refused(running, here, f"it is host-{identity}, but that host has joined")
        await agent.aclose()
        await eventually(lambda: _is_silent(running, identity))
        await platform.enter_async_context(secure_agent(folder, there))
        await eventually(lambda: is_reachable(running, identity))
        await refused(running, here, "does not answer")
        kinds = [event["kind"] for event in await running.events(sandbox.id)]
        assert kinds[-2:] == ["sandbox.unreachable", "sandbox.reachable"]
        assert running.services.resources.hosts.client(identity).address == there

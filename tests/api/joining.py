"""Hosts that have joined, as the tests of several parts need them."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from agent.certificates import Certificates
from agent.computer import host_id
from agent.drivers.simulated import SimulatedDriver
from agent.host import open_host
from agent.secure_link import SecureLink
from agent.server import serve
from api.domain.host import Registration
from tests.agent.serving import TOKEN
from tests.api.running import Running


async def joins(running: Running, folder: Path, address: str, token: str | None = None, *, again: bool = False) -> UUID:
    """What `python -m agent join` does, without the way over HTTP; its id. Without a token, with one that was made for
    it (`again`) or for a new host."""
    folder.mkdir(exist_ok=True)
    certificates = Certificates(folder / "tls")
    identity = host_id(folder)
    wish = Registration(identity, "second", address, certificates.request(f"host-{identity}"))
    if token is None:
        token = (await running.services.registrations.new_token("test", identity if again else None)).token
    joined = await running.services.registrations.register(token, wish)
    certificates.install(joined.certificate, joined.authority, running.clock.now())
    return identity


@asynccontextmanager
async def secure_agent(folder: Path, address: str = "127.0.0.1:0") -> AsyncIterator[tuple[str, SecureLink]]:
    """An agent on this data directory, whose certificate is that of whoever has joined with it; its address."""
    link = SecureLink(Certificates(folder / "tls"))
    async with (
        open_host(folder, SimulatedDriver(folder / "simulated"), None) as host,
        serve(host, address=address, token=TOKEN, name="second", version="0", link=link) as port,
    ):
        yield f"127.0.0.1:{port}", link


def free_address() -> str:
    """One where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return f"127.0.0.1:{bound.getsockname()[1]}"


async def is_reachable(running: Running, identity: UUID) -> bool:
    """Whether it is known to answer."""
    return bool(await running.database.fetchval("SELECT reachable FROM hosts WHERE id = $1", identity))

"""Hosts that have joined: each replica learns of them from the database, and begins to look after them."""

import asyncio
from collections.abc import Callable
from uuid import UUID

from api.db import hosts
from api.domain.status import TaskStatus
from api.hosts.client import HostClient
from api.reconciler.status import TaskRecord
from api.services.services import Services

PASS_SECONDS = 2.0


class JoinedTask:
    """Reads which hosts have joined, and were not removed; shows them a new certificate of this replica in time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._record = TaskRecord("hosts that have joined", services.resources.clock)

    def status(self) -> TaskStatus:
        """How it is."""
        return self._record.status

    async def run(self, look_after: Callable[[HostClient], None], look: Callable[[UUID], None]) -> None:
        """Runs until cancelled. `look_after` is called once with each client that is new, `look` with each host that is
        not to be called any more, so that whoever looks after it sees that soon."""
        while True:
            with self._record.contained():
                await self._pass(look_after, look)
            await asyncio.sleep(PASS_SECONDS)

    async def _pass(self, look_after: Callable[[HostClient], None], look: Callable[[UUID], None]) -> None:
        registry = self._services.resources.hosts
        joined = await hosts.registered(self._services.resources.database)
        for host_id in registry.forget_all_but([host_id for host_id, _ in joined]):
            look(host_id)
        for host_id, address in joined:
            client = await registry.register(host_id, address)
            if client is not None:
                look_after(client)
        await registry.renew()
        self._record.succeeded(f"{len(joined)} hosts")

"""What no host has: nobody reports on it, so it is concluded here."""

import asyncio

from api.db import inventory, template_commands
from api.domain.sandbox import Cause, State
from api.domain.status import TaskStatus
from api.reconciler.status import TaskRecord
from api.services.services import Services

PASS_SECONDS = 5.0


class UnplacedTask:
    """Pending sandboxes past their deadline have failed; deleted sandboxes and templates have nothing to remove."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._record = TaskRecord("unplaced sandboxes", services.resources.clock)

    def status(self) -> TaskStatus:
        """How it is."""
        return self._record.status

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            with self._record.contained():
                await self._pass()
            await asyncio.sleep(PASS_SECONDS)

    async def _pass(self) -> None:
        resources = self._services.resources
        rows = await inventory.unplaced(resources.database, resources.clock.now())
        for row in rows:
            state = State(row["state"])
            if state is State.DELETING:
                target, cause, detail = State.DELETED, Cause.USER, ""
            else:
                target, cause, detail = State.FAILED, Cause.START_FAILED, "No host could be found for it."
            await self._services.reports.conclude(
                row["id"], state, row["version"], target=target, cause=cause, detail=detail
            )
        swept = await template_commands.sweep(resources.database, resources.clock.now())
        if swept:
            resources.waker.wake()
        self._record.succeeded(f"{len(rows) + swept} concluded")

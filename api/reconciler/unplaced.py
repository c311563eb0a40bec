"""What no host has: nobody reports on it, so it is concluded here."""

import asyncio

from api.db import inventory, template_commands
from api.db.database import Row
from api.domain.sandbox import Cause, State, deadline_of
from api.domain.status import TaskStatus
from api.reconciler.ages import Ages
from api.reconciler.status import TaskRecord
from api.services.services import Services

PASS_SECONDS = 5.0


class UnplacedTask:
    """Pending sandboxes past their deadline have failed; deleted sandboxes and templates have nothing to remove."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ages = Ages(services.resources.clock)
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
        began = resources.clock.monotonic()
        rows = await inventory.unplaced(resources.database)
        ages = self._ages.of({row["id"]: row["version"] for row in rows}, began)
        concluded = [row for row in rows if _is_over(row, ages[row["id"]])]
        for row in concluded:
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
        self._record.succeeded(f"{len(concluded) + swept} concluded")


def _is_over(row: Row, age_seconds: float) -> bool:
    deadline_seconds = deadline_of(State.PENDING)
    return row["state"] == State.DELETING or (deadline_seconds is not None and age_seconds >= deadline_seconds)

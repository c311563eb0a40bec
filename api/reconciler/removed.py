"""Hosts that were removed: nobody reports on them any more, so what needs them to end is concluded here.

What they had stays as it was last known, and is shown as unreachable. Should one join again, its inventory goes on from
there; what was deleted meanwhile is then removed from it like any machine or template that no row wants.
"""

import asyncio
from uuid import UUID

from api.db import forks, hosts, inventory, template_reports
from api.domain.operation import OperationState
from api.domain.sandbox import TRANSITIONAL, Cause, State
from api.domain.status import TaskStatus
from api.domain.template import TemplateState
from api.errors import Unavailable
from api.reconciler.status import TaskRecord
from api.services.services import Services

PASS_SECONDS = 2.0
_MESSAGE = "Its host was removed."


class RemovedTask:
    """Deletions have nothing to remove; whatever else was under way there has failed, and is taken back."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.resources.database
        self._record = TaskRecord("hosts that were removed", services.resources.clock)

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
        removed = await hosts.removed(self._database)
        for host_id in removed:
            await self._end_sandboxes(host_id)
            await self._end_templates(host_id)
            await self._end_forks(host_id)
        self._record.succeeded(f"{len(removed)} hosts")

    async def _end_sandboxes(self, host_id: UUID) -> None:
        for row in await inventory.of_host(self._database, host_id):
            if row["state"] == State.DELETING:
                await self._services.reports.conclude(
                    row["id"], State.DELETING, row["version"], target=State.DELETED, cause=Cause.USER, detail=""
                )
            elif row["state"] in TRANSITIONAL:
                await self._services.commands.give_up(row["id"], Unavailable(_MESSAGE, code="HOST_UNREACHABLE"))

    async def _end_templates(self, host_id: UUID) -> None:
        for row in await template_reports.of_host(self._database, host_id):
            match row["state"]:
                case TemplateState.CREATING:
                    await self._services.template_reports.lose(host_id, row["id"], row["sequence"], _MESSAGE)
                case TemplateState.DELETING | TemplateState.DELETED:
                    await self._services.template_reports.gone(host_id, row["id"], row["sequence"])
                case _:
                    # it is there, should the host ever join again
                    pass

    async def _end_forks(self, host_id: UUID) -> None:
        for row in await forks.of_host(self._database, host_id):
            if row["state"] == OperationState.SUCCEEDED:
                await self._services.commands.begin_children(row["id"])
            else:
                error = Unavailable(_MESSAGE, code="HOST_UNREACHABLE")
                await self._services.commands.fail_children(row["id"], error)

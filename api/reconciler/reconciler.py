"""Brings rows and hosts together, for as long as the replica lives."""

import asyncio
from datetime import timedelta
from uuid import UUID

from api.db.locks import Locks
from api.domain.status import TaskStatus
from api.hosts.client import HostClient
from api.reconciler.host import HostTasks
from api.reconciler.joined import JoinedTask
from api.reconciler.removed import RemovedTask
from api.reconciler.retention import RetentionTask
from api.reconciler.unplaced import UnplacedTask
from api.services.services import Services


class Reconciler:
    """Tasks without input: each pass reads everything, decides, and acts once. Safe in any number of replicas."""

    def __init__(
        self,
        services: Services,
        *,
        keep_events: timedelta = timedelta(days=30),
        keep_audit: timedelta = timedelta(days=365),
    ) -> None:
        """`services` need not be open yet. `keep_events`: how long lines of the event log are kept; `keep_audit`:
        those of the audit log."""
        self._services = services
        self._hosts: list[HostTasks] = []
        self._joined = JoinedTask(services)
        self._removed = RemovedTask(services)
        self._unplaced = UnplacedTask(services)
        self._retention = RetentionTask(services, keep_events, keep_audit)

    async def run(self) -> None:
        """Runs until cancelled, while the services are open. Run it in the task group of the application."""
        locks = Locks(self._services.resources.database)
        self._services.commands.when_in_doubt(self._look)
        try:
            async with asyncio.TaskGroup() as group:

                def look_after(client: HostClient) -> None:
                    group.create_task(self._look_after(client, locks))

                for client in self._services.resources.hosts.clients:
                    look_after(client)
                group.create_task(self._joined.run(look_after, self._look))
                group.create_task(self._removed.run())
                group.create_task(self._unplaced.run())
                group.create_task(self._retention.run(locks))
        finally:
            locks.close()

    async def _look_after(self, client: HostClient, locks: Locks) -> None:
        tasks = HostTasks(self._services, client, locks)
        self._hosts.append(tasks)
        try:
            await tasks.run()
        finally:
            self._hosts.remove(tasks)

    def _look(self, host_id: UUID) -> None:
        for tasks in self._hosts:
            tasks.look(host_id)

    def status(self) -> tuple[TaskStatus, ...]:
        """How each task is, for admins."""
        hosts = (status for tasks in self._hosts for status in tasks.status())
        return (
            *hosts,
            self._joined.status(),
            self._removed.status(),
            self._unplaced.status(),
            self._retention.status(),
        )

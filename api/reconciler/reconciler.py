"""Brings rows and hosts together, for as long as the replica lives."""

import asyncio
from datetime import timedelta
from uuid import UUID

from api.db.locks import Locks
from api.domain.status import TaskStatus
from api.reconciler.host import HostTasks
from api.reconciler.retention import RetentionTask
from api.reconciler.unplaced import UnplacedTask
from api.services.services import Services


class Reconciler:
    """Tasks without input: each pass reads everything, decides, and acts once. Safe in any number of replicas."""

    def __init__(self, services: Services, *, keep_events: timedelta = timedelta(days=30)) -> None:
        """`services` need not be open yet. `keep_events`: how long lines of the event log are kept."""
        self._services = services
        self._hosts: tuple[HostTasks, ...] = ()
        self._unplaced = UnplacedTask(services)
        self._retention = RetentionTask(services, keep_events)

    async def run(self) -> None:
        """Runs until cancelled, while the services are open. Run it in the task group of the application."""
        locks = Locks(self._services.resources.database)
        self._hosts = tuple(
            HostTasks(self._services, client, locks) for client in self._services.resources.hosts.clients
        )
        self._services.commands.when_in_doubt(self._look)
        try:
            async with asyncio.TaskGroup() as group:
                for tasks in self._hosts:
                    group.create_task(tasks.run())
                group.create_task(self._unplaced.run())
                group.create_task(self._retention.run(locks))
        finally:
            locks.close()

    def _look(self, host_id: UUID) -> None:
        for tasks in self._hosts:
            tasks.look(host_id)

    def status(self) -> tuple[TaskStatus, ...]:
        """How each task is, for admins."""
        hosts = (status for tasks in self._hosts for status in tasks.status())
        return (*hosts, self._unplaced.status(), self._retention.status())

"""Brings rows and hosts together, for as long as the replica lives."""

from api.domain.status import TaskStatus
from api.services.services import Services


class Reconciler:
    """Tasks without input, one set per host."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """Runs until cancelled. Run it in the task group of the application."""
        raise NotImplementedError

    def status(self) -> tuple[TaskStatus, ...]:
        """How each task is, for admins."""
        return ()

"""Whether this replica can serve."""

from api.db import hosts
from api.domain.status import Check
from api.errors import NestboxError
from api.services.resources import Resources


class Health:
    """Checks behind `/readyz`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def ready(self) -> tuple[Check, ...]:
        """The database, and at least one host that this replica can call. Never raises."""
        try:
            count = await hosts.count_reachable(self._resources.database, self._resources.hosts.host_ids)
        except NestboxError as error:
            return (Check("database", ok=False, detail=error.message), Check("hosts", ok=False, detail="unknown"))
        return (Check("database", ok=True, detail=""), Check("hosts", ok=count > 0, detail=f"{count} of them answer"))

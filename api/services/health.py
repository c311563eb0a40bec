"""Whether this replica can serve."""

from api.db import hosts
from api.db.database import Database
from api.domain.status import Check
from api.errors import NestboxError


class Health:
    """Checks behind `/readyz`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ready(self) -> tuple[Check, ...]:
        """The database, and at least one host. Never raises; answers within about a second."""
        try:
            count = await hosts.count_reachable(self._database)
        except NestboxError as error:
            return (Check("database", ok=False, detail=error.message), Check("hosts", ok=False, detail="unknown"))
        return (Check("database", ok=True, detail=""), Check("hosts", ok=count > 0, detail=f"{count} of them answer"))

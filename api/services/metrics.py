"""What is counted of the whole platform, for those who watch over it."""

from api.db import hosts, metrics
from api.db.database import Database
from api.domain.metrics import Snapshot
from api.domain.principal import Principal, require_platform_admin


class Metrics:
    """Reads everything when it is asked for: nothing is kept that could be wrong."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def snapshot(self, principal: Principal) -> Snapshot:
        """The platform as it is. Raises: Forbidden for all but platform admins; Unavailable."""
        require_platform_admin(principal)
        return Snapshot(
            sandboxes=await metrics.sandboxes(self._database),
            operations=await metrics.operations(self._database),
            hosts=await hosts.all_hosts(self._database),
        )

"""Which control plane this is."""

from uuid import UUID

from api.db import cluster
from api.db.database import Database


class Cluster:
    """What its machines are known by on hosts; never changes while a replica lives."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id: UUID | None = None

    async def id(self) -> UUID:
        """Read once. Raises: Unavailable."""
        if self._id is None:
            self._id = await cluster.read(self._database)
        return self._id

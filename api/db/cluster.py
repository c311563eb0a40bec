"""Which control plane this is, in SQL."""

from uuid import UUID

from api.db.database import Database
from api.errors import Internal


async def read(database: Database) -> UUID:
    """The id that hosts keep of each machine that this control plane has made. Replicas have the same one.

    Raises: Internal when somebody has removed it.
    """
    row = await database.row("SELECT id FROM cluster")
    if row is None:
        raise Internal("The database has no cluster id.", detail="INSERT INTO cluster DEFAULT VALUES makes one")
    found: UUID = row["id"]
    return found

"""What the database has of one host, to be compared with what the host says."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from api.db.database import Database, Row

_COLUMNS = (
    "id, state, generation, sequence, version, updated_at, state_deadline_at, last_active_at, goal, timeout_sec, "
    "stored_bytes"
)


async def of_host(database: Database, host_id: UUID) -> Sequence[Row]:
    """Every sandbox of a host that is not deleted."""
    return await database.rows(
        f"SELECT {_COLUMNS} FROM sandboxes WHERE host_id = $1 AND state <> 'deleted'",  # noqa: S608 - a constant
        host_id,
    )


async def unplaced(database: Database, now: datetime) -> Sequence[Row]:
    """Sandboxes that no host was given in time, or that are deleted before one was."""
    return await database.rows(
        f"""SELECT {_COLUMNS} FROM sandboxes WHERE host_id IS NULL AND state <> 'deleted'
            AND (state = 'deleting' OR (state = 'pending' AND state_deadline_at < $1))""",  # noqa: S608 - a constant
        now,
    )

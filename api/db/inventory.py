"""What the database has of one host, to be compared with what the host says."""

from collections.abc import Collection, Sequence
from uuid import UUID

from api.db.database import Database, Row

_COLUMNS = (
    "id, state, generation, sequence, version, updated_at, last_active_at, goal, timeout_sec, stored_bytes, detail"
)


async def of_host(database: Database, host_id: UUID) -> Sequence[Row]:
    """Every sandbox of a host that is not deleted."""
    return await database.rows(
        f"SELECT {_COLUMNS} FROM sandboxes WHERE host_id = $1 AND state <> 'deleted'",  # noqa: S608 - a constant
        host_id,
    )


async def by_id(database: Database, sandbox_ids: Collection[UUID]) -> Sequence[Row]:
    """Those of them that have a row, deleted or not, wherever they are: id, host, state and generation."""
    return await database.rows(
        "SELECT id, host_id, state, generation FROM sandboxes WHERE id = ANY($1::uuid[])", list(sandbox_ids)
    )


async def unplaced(database: Database) -> Sequence[Row]:
    """Sandboxes that no host was given yet, or that are deleted before one was."""
    return await database.rows(
        f"""SELECT {_COLUMNS} FROM sandboxes WHERE host_id IS NULL AND state <> 'deleted'
            AND state IN ('pending', 'deleting')"""  # noqa: S608 - a constant
    )

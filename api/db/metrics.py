"""Counts over the whole platform, in SQL."""

from api.db.database import Database
from api.domain.operation import OperationKind
from api.domain.sandbox import LISTED, State


async def sandboxes(database: Database) -> dict[State, int]:
    """How many sandboxes are in each state, deleted ones apart."""
    rows = await database.rows("SELECT state, count(*) FROM sandboxes WHERE state <> 'deleted' GROUP BY state")
    return dict.fromkeys((state for state in State if state in LISTED), 0) | {State(row[0]): row[1] for row in rows}


async def operations(database: Database) -> dict[OperationKind, int]:
    """How many operations of each kind have not ended."""
    rows = await database.rows("SELECT kind, count(*) FROM operations WHERE state = 'running' GROUP BY kind")
    return dict.fromkeys(OperationKind, 0) | {OperationKind(row[0]): row[1] for row in rows}

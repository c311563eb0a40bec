"""The event log in SQL: writing a line in the statement of the change, and reading lines in the order of the cursor."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Self
from uuid import UUID

from api.db.database import Database, Statements
from api.errors import Invalid

BATCH_MAX = 1000
"""Lines read at once."""

_CURSOR = re.compile(r"(\d{1,20})\.(\d{1,19})", re.ASCII)


class Cursor(NamedTuple):
    """A place in the log: after the event `id` of transaction `xid`; 0 as the id is before all events of it."""

    xid: int
    id: int

    def __str__(self) -> str:
        return f"{self.xid}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor that a client gave back. Raises: Invalid if it never came from here."""
        match = _CURSOR.fullmatch(text)
        if match is None or int(match[1]) >= 1 << 64 or int(match[2]) >= 1 << 63:
            raise Invalid("This is not a cursor of a live list.", path=("after",))
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of the log: the teams, sandboxes and operations that its lines are about, and the cursor after it.
    `waiting`: there are lines that cannot be read yet, since a transaction that began before them is still under way.
    `full`: there is more to read."""

    team_ids: frozenset[UUID]
    sandbox_ids: frozenset[UUID]
    operation_ids: frozenset[UUID]
    cursor: Cursor
    waiting: bool
    full: bool


def insert_events(
    *,
    kind: str,
    actor: str,
    source: str,
    operation_id: str = "NULL::uuid",
    cause: str = "s.cause",
    at: str = "s.updated_at",
) -> str:
    """The INSERT that logs a change of sandboxes, as a CTE of the statement that makes it.

    `source` is a table `s` of rows as they are after the change, with `state_before`, `goal_before` and
    `generation_before`; the other arguments are expressions over it. `kind` is one too.
    """
    return f"""INSERT INTO events (at, kind, team_id, sandbox_id, operation_id, actor, cause, before, after)
    SELECT {at}, {kind}, s.team_id, s.id, {operation_id}, {actor}, {cause},
        jsonb_build_object('state', s.state_before, 'goal', s.goal_before, 'generation', s.generation_before),
        jsonb_build_object('state', s.state, 'goal', s.goal, 'generation', s.generation, 'version', s.version,
            'sequence', s.sequence, 'detail', s.detail)
    FROM {source}"""


def insert_operation_events(*, source: str) -> str:
    """The INSERT that logs how far operations are, of sandboxes that have not changed by it, as a CTE of the statement
    that writes it. `source` is a table `o` of operations as they are after the change."""
    return f"""INSERT INTO events (at, kind, team_id, operation_id, actor, after)
    SELECT coalesce(o.finished_at, clock_timestamp()), 'operation.' || o.state, o.team_id, o.id, 'system',
        jsonb_build_object('state', o.state, 'kind', o.kind, 'progress_percent', o.progress_percent,
            'error_code', o.error_code, 'template_id', o.template_id)
    FROM {source}"""


async def insert_team_event(database: Statements, team_id: UUID, kind: str, actor: str, now: datetime) -> None:
    """Logs that something of a team changed, in the transaction of the change."""
    await database.execute(
        "INSERT INTO events (at, kind, team_id, actor) VALUES ($1, $2, $3, $4)", now, kind, team_id, actor
    )


BEFORE = "old.state AS state_before, old.goal AS goal_before, old.generation AS generation_before"
"""What `insert_events` needs of the row as it was, for a RETURNING."""


async def horizon(database: Database) -> Cursor:
    """The end of what can be read now. Everything before it is over; everything after it is still to be read."""
    row = await database.row("SELECT pg_snapshot_xmin(pg_current_snapshot())")
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return Cursor(row[0], 0)


async def read(database: Database, after: Cursor, limit: int = BATCH_MAX) -> Batch:
    """What comes after a cursor, as far as it is certain that nothing can still appear before its end.

    Ids and transaction ids are taken before commit, so a higher one can be seen before a lower one. Below the oldest
    transaction that still runs (`pg_snapshot_xmin`) nothing new can appear, and nothing beyond is read.
    """
    rows = await database.rows(
        """SELECT e.xid, e.id, e.team_id, e.sandbox_id, e.operation_id, e.xid < x.horizon AS ready, x.horizon
        FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon) x LEFT JOIN LATERAL (
            SELECT xid, id, team_id, sandbox_id, operation_id FROM events
            WHERE (xid, id) > ($1::xid8, $2::bigint) ORDER BY xid, id LIMIT $3
        ) e ON true""",
        after.xid,
        after.id,
        limit,
    )
    lines = [row for row in rows if row["id"] is not None]
    ready = [row for row in lines if row["ready"]]
    waiting = len(ready) < len(lines)
    full = len(ready) == limit
    if waiting or full:
        cursor = Cursor(ready[-1]["xid"], ready[-1]["id"]) if ready else after
    else:
        # nothing waits: all that is still to come is of transactions from the horizon on
        cursor = max(after, Cursor(rows[0]["horizon"], 0))
    sandbox_ids = frozenset(row["sandbox_id"] for row in ready if row["sandbox_id"] is not None)
    operation_ids = frozenset(row["operation_id"] for row in ready if row["operation_id"] is not None)
    team_ids = frozenset(row["team_id"] for row in ready)
    return Batch(team_ids, sandbox_ids, operation_ids, cursor, waiting=waiting, full=full)


async def changed_since(
    database: Database, team_id: UUID, after: Cursor, limit: int
) -> tuple[frozenset[UUID], Cursor] | None:
    """Which of a team's sandboxes changed after a cursor, and the cursor after that; None when the log cannot say:
    the cursor is not of this database, lines after it were pruned, or there are more than `limit`."""
    rows = await database.rows(
        """SELECT x.horizon, e.sandbox_id, p.xid AS pruned_xid, p.id AS pruned_id
        FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon) x CROSS JOIN events_pruned p
        LEFT JOIN LATERAL (
            SELECT DISTINCT sandbox_id FROM events
            WHERE (xid, id) > ($2::xid8, $3::bigint) AND team_id = $1 AND sandbox_id IS NOT NULL LIMIT $4
        ) e ON true""",
        team_id,
        after.xid,
        after.id,
        limit + 1,
    )
    sandbox_ids = frozenset(row["sandbox_id"] for row in rows if row["sandbox_id"] is not None)
    head = rows[0]["horizon"]
    pruned = Cursor(rows[0]["pruned_xid"], rows[0]["pruned_id"])
    if after < pruned or after.xid > head or len(sandbox_ids) > limit:
        return None
    return sandbox_ids, Cursor(head, 0)


async def prune(database: Database, now: datetime, keep: timedelta, limit: int = BATCH_MAX) -> int:
    """Removes the oldest lines that are older than `keep`, at most `limit` of them; how many it were. They have to be
    so by `now` and by the database's clock: one that is set wrong removes nothing by itself. What is removed is noted
    in the same statement, so that no reader takes the rest for all that happened after its cursor."""
    row = await database.row(
        """WITH oldest AS (
            SELECT xid, id, at FROM events WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY xid, id LIMIT $2
        ), kept AS (
            SELECT xid, id FROM oldest WHERE at >= least($1, now()) - $3::interval ORDER BY xid, id LIMIT 1
        ), chosen AS (
            -- a beginning of the log, never lines from its midst
            SELECT o.xid, o.id FROM oldest o WHERE NOT EXISTS (SELECT FROM kept k WHERE (o.xid, o.id) >= (k.xid, k.id))
        ), removed AS (
            DELETE FROM events e USING chosen c WHERE e.id = c.id RETURNING e.xid, e.id
        ), noted AS (
            UPDATE events_pruned p SET xid = r.xid, id = r.id
            FROM (SELECT xid, id FROM removed ORDER BY xid DESC, id DESC LIMIT 1) r WHERE (p.xid, p.id) < (r.xid, r.id)
        )
        SELECT count(*) AS removed FROM removed""",
        now,
        limit,
        keep,
    )
    return 0 if row is None else int(row["removed"])

"""Forks in SQL: a parent's move, and its children, whose state derives from the fork's operation."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from api.db.commands import NEW_OPERATION, RESULT, Acceptance, Accepted, accepted, common
from api.db.database import Database, Row, Statements
from api.db.events import BEFORE, insert_events, insert_operation_events
from api.db.operations import OPERATION_COLUMNS, operation_of, stages_json
from api.db.sandboxes import JOINS, SANDBOX_COLUMNS, sandbox_of
from api.domain.operation import Operation, Stage
from api.domain.sandbox import Forking, Sandbox, State
from api.errors import NestboxError

_FORK = f"""WITH moved AS (
    UPDATE sandboxes s SET state = 'snapshotting', generation = s.generation + 1, cause = 'user', detail = '',
        auto_pause_at = NULL, state_deadline_at = $8, updated_at = $7, version = s.version + 1
    WHERE s.id = $9 AND s.team_id = $2 AND s.state = ANY($10::text[])
        AND EXISTS (SELECT FROM hosts WHERE hosts.id = s.host_id AND hosts.reachable)
    RETURNING new.*, {BEFORE}
), operation AS ({NEW_OPERATION}),
child AS (
    INSERT INTO sandboxes (id, team_id, template_id, host_id, name, labels, environment, vcpus, memory_mb, disk_size_mb,
        timeout_sec, auto_resume, goal, generation, state, cause, state_deadline_at, created_at, updated_at, parent_id,
        fork_id)
    SELECT c.id, s.team_id, s.template_id, s.host_id, $12, $13::jsonb, $14::jsonb, s.vcpus, s.memory_mb, $15, $16, $17,
        'running', 1, 'pending', 'user', $8, $7, $7, s.id, $1
    FROM moved s CROSS JOIN unnest($11::uuid[]) AS c (id)
    RETURNING *, 'pending' AS state_before, 'running' AS goal_before, 0::bigint AS generation_before
), logged AS ({insert_events(kind="'sandbox.' || $3", actor="$4", source="moved s", operation_id="$1::uuid")}
), born AS ({insert_events(kind="'sandbox.forked'", actor="$4", source="child s", operation_id="$1::uuid")})
{RESULT}"""

_BEGIN = f"""WITH fork AS (
    UPDATE operations o SET state = 'succeeded', finished_at = $2, stages = $6::jsonb
    WHERE o.id = $1 AND o.kind = 'fork' AND o.state = 'running' RETURNING o.*
), moved AS (
    UPDATE sandboxes s SET state = 'starting', generation = s.generation + 1, state_deadline_at = $3, updated_at = $2,
        version = s.version + 1, last_active_at = $2
    FROM unnest($4::uuid[], $5::uuid[]) AS c (id, operation_id)
    WHERE s.id = c.id AND s.fork_id = $1 AND s.state = 'pending' AND (EXISTS (SELECT FROM fork)
        OR EXISTS (SELECT FROM operations WHERE operations.id = $1 AND operations.state = 'succeeded'))
    RETURNING new.*, {BEFORE}, c.operation_id
), operation AS (
    INSERT INTO operations (id, team_id, sandbox_id, kind, state, actor, generation, created_at)
    SELECT s.operation_id, s.team_id, s.id, 'create', 'running', f.actor, s.generation, $2
    FROM moved s JOIN operations f ON f.id = $1 RETURNING *
), told AS ({insert_operation_events(source="fork o")}
), logged AS ({
    insert_events(
        kind="'sandbox.create'",
        actor="(SELECT f.actor FROM operations f WHERE f.id = $1)",
        source="moved s",
        operation_id="s.operation_id",
    )
})
SELECT {SANDBOX_COLUMNS}, {OPERATION_COLUMNS} FROM moved s {JOINS} JOIN operation o ON o.sandbox_id = s.id"""

_FAIL = f"""WITH fork AS (
    UPDATE operations o SET state = 'failed', finished_at = $2, error_code = $3, error_message = $4,
        error_retryable = $5
    WHERE o.id = $1 AND o.kind = 'fork' AND o.state = 'running' RETURNING o.*
), over AS (
    SELECT id, error_message FROM fork UNION ALL
    SELECT o.id, o.error_message FROM operations o WHERE o.id = $1 AND o.state = 'failed'
), moved AS (
    UPDATE sandboxes s SET state = 'failed', cause = 'start_failed', detail = over.error_message, updated_at = $2,
        version = s.version + 1, state_deadline_at = NULL
    FROM over WHERE s.fork_id = over.id AND s.state = 'pending' RETURNING new.*, {BEFORE}
), told AS ({insert_operation_events(source="fork o")}
), logged AS ({insert_events(kind="'sandbox.reconciled'", actor="'system'", source="moved s", operation_id="$1::uuid")})
SELECT (SELECT count(*) FROM fork) + (SELECT count(*) FROM moved) AS changed"""

_OF_HOST = """SELECT o.id, o.state, p.id AS parent_id,
    p.state = 'snapshotting' AND p.generation = o.generation AS parent_is_at_it
FROM operations o JOIN sandboxes p ON p.id = o.sandbox_id
WHERE p.host_id = $1 AND o.kind = 'fork' AND (o.state = 'running' OR o.id IN (
    SELECT s.fork_id FROM sandboxes s WHERE s.host_id = $1 AND s.state = 'pending' AND s.fork_id IS NOT NULL))"""


async def create(
    database: Statements,
    acceptance: Acceptance,
    parent_id: UUID,
    children: Collection[UUID],
    forking: Forking,
    sources: Collection[State],
) -> Accepted | None:
    """Accepts a fork of a sandbox that is in one of `sources`, with children of these ids, which are pending.

    None when there is no such sandbox, it is in another state, or its host does not answer. Raises: KeyUsedError.
    """
    row = await database.row(
        _FORK,
        *common(acceptance),
        parent_id,
        sorted(sources),
        list(children),
        forking.name,
        json.dumps(forking.labels),
        json.dumps(forking.environment),
        forking.disk_size_mb,
        forking.timeout_sec,
        forking.auto_resume,
    )
    return accepted(row)


async def begin(
    database: Database,
    fork_id: UUID,
    operations: Sequence[tuple[UUID, UUID]],
    stages: tuple[Stage, ...],
    now: datetime,
    deadline: datetime,
) -> tuple[Accepted, ...]:
    """Ends a fork well, and moves those of its children that are pending to starting, each with an operation of its
    own: `operations` are pairs of a child's id and that of its operation. May be repeated."""
    children = [child for child, _ in operations]
    ids = [operation for _, operation in operations]
    rows = await database.rows(_BEGIN, fork_id, now, deadline, children, ids, stages_json(stages))
    return tuple(Accepted(sandbox_of(row, with_operation=True), operation_of(row)) for row in rows)


async def fail(database: Database, fork_id: UUID, error: NestboxError, now: datetime) -> bool:
    """Ends a fork, unless it has ended, and, if it failed then or before, its pending children; whether that changed
    anything. May be repeated."""
    row = await database.row(_FAIL, fork_id, now, error.code, error.message, error.retryable)
    return row is not None and row["changed"] > 0


async def children(database: Database, fork_id: UUID) -> tuple[Sandbox, ...]:
    """The children of a fork with their newest operations, the oldest first."""
    rows = await database.rows(
        f"""SELECT {SANDBOX_COLUMNS}, {OPERATION_COLUMNS} FROM sandboxes s {JOINS}
        LEFT JOIN LATERAL (SELECT * FROM operations WHERE sandbox_id = s.id ORDER BY generation DESC LIMIT 1) o ON true
        WHERE s.fork_id = $1 ORDER BY s.id""",
        fork_id,
    )
    return tuple(sandbox_of(row, with_operation=True) for row in rows)


async def creations(database: Database, fork_id: UUID) -> dict[UUID, Operation]:
    """The operations that started the children of a fork, by child."""
    rows = await database.rows(
        f"""SELECT {OPERATION_COLUMNS} FROM operations o JOIN sandboxes s ON s.id = o.sandbox_id
        WHERE s.fork_id = $1 AND o.kind = 'create'""",
        fork_id,
    )
    return {row["o_sandbox_id"]: operation_of(row) for row in rows}


async def of_host(database: Database, host_id: UUID) -> Sequence[Row]:
    """Forks on a host that have not ended, or whose children do not know it yet."""
    return await database.rows(_OF_HOST, host_id)

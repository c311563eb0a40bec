"""Reports of hosts about templates in SQL: guarded writes, each one statement, and so one transaction.

A report is applied when it is newer than the last one of that host about that template (`sequence`). What is concluded
from a template's absence is guarded by the same number: it must be as it was when the row was read.
"""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from api.db.database import Database, Row
from api.db.events import insert_operation_events
from api.db.operations import stages_json
from api.domain.machine import HeldTemplate
from api.domain.operation import Stage
from api.domain.template import TemplateState
from api.errors import NestboxError

_PROGRESS = f"""WITH held AS (
    UPDATE template_hosts x SET sequence = $3, updated_at = $5
    WHERE x.template_id = $1 AND x.host_id = $2 AND x.sequence < $3 AND NOT x.ready RETURNING x.template_id
), operation AS (
    UPDATE operations o SET progress_percent = $4 FROM held
    WHERE o.template_id = held.template_id AND o.kind = 'create_template' AND o.state = 'running'
        AND o.progress_percent < $4 RETURNING o.*
), logged AS ({insert_operation_events(source="operation o")})
SELECT count(*) > 0 AS visible FROM operation"""

_COMPLETE = f"""WITH held AS (
    INSERT INTO template_hosts (template_id, host_id, ready, sequence, stored_bytes, updated_at)
    SELECT t.id, $2, true, $3, $4, $5 FROM templates t
    -- its sandbox's host makes it and no other: what another one may have under this id is not it
    JOIN sandboxes s ON s.id = t.source_sandbox_id AND s.host_id = $2
    WHERE t.id = $1 AND t.state IN ('creating', 'ready')
    ON CONFLICT (template_id, host_id) DO UPDATE SET ready = true, sequence = excluded.sequence,
        stored_bytes = excluded.stored_bytes, updated_at = excluded.updated_at
    WHERE template_hosts.sequence < excluded.sequence
    RETURNING template_id
), completed AS (
    UPDATE templates t SET state = 'ready', stored_bytes = $4 + coalesce((
        SELECT sum(x.stored_bytes) FROM template_hosts x WHERE x.template_id = t.id AND x.host_id <> $2 AND x.ready), 0)
    FROM held WHERE t.id = held.template_id AND t.state IN ('creating', 'ready') RETURNING t.id
), operation AS (
    UPDATE operations o SET state = 'succeeded', progress_percent = 100, finished_at = $5, stages = $6::jsonb
    FROM completed t WHERE o.template_id = t.id AND o.kind = 'create_template' AND o.state = 'running' RETURNING o.*
), logged AS ({insert_operation_events(source="operation o")})
SELECT count(*) > 0 AS visible FROM operation"""

_FAIL = f"""WITH held AS (
    DELETE FROM template_hosts x USING templates t
    WHERE x.template_id = $1 AND x.host_id = $2 AND x.sequence < $3 AND t.id = x.template_id AND t.state = 'creating'
    RETURNING x.template_id
), dropped AS (
    UPDATE templates t SET state = 'deleted', deleted_at = $4 FROM held
    WHERE t.id = held.template_id AND t.state = 'creating' RETURNING t.id
), operation AS (
    UPDATE operations o SET state = 'failed', finished_at = $4, error_code = $5, error_message = $6,
        error_retryable = $7, stages = $8::jsonb
    FROM dropped t WHERE o.template_id = t.id AND o.kind = 'create_template' AND o.state = 'running' RETURNING o.*
), logged AS ({insert_operation_events(source="operation o")})
SELECT count(*) > 0 AS visible FROM operation"""

_GONE = f"""WITH held AS (
    DELETE FROM template_hosts x USING templates t
    WHERE x.template_id = $1 AND x.host_id = $2 AND x.sequence < $3 AND t.id = x.template_id AND t.state <> 'creating'
    RETURNING x.template_id
), rest AS (
    SELECT count(*) AS hosts, coalesce(sum(x.stored_bytes), 0) AS stored_bytes
    FROM template_hosts x WHERE x.template_id = $1 AND x.host_id <> $2
), removed AS (
    UPDATE templates t SET stored_bytes = rest.stored_bytes,
        state = CASE WHEN t.state = 'deleting' AND rest.hosts = 0 THEN 'deleted' ELSE t.state END
    FROM held, rest WHERE t.id = held.template_id RETURNING t.id, t.state
), operation AS (
    UPDATE operations o SET state = 'succeeded', finished_at = $4 FROM removed t
    WHERE t.state = 'deleted' AND o.template_id = t.id AND o.kind = 'delete_template' AND o.state = 'running'
    RETURNING o.*
), logged AS ({insert_operation_events(source="operation o")})
SELECT count(*) > 0 AS visible FROM operation"""

_OF_HOST = """SELECT t.id, t.state, x.sequence, x.updated_at, t.source_sandbox_id, EXISTS (
        SELECT FROM operations o JOIN sandboxes s ON s.id = o.sandbox_id
        WHERE o.template_id = t.id AND o.kind = 'create_template' AND s.state = 'snapshotting'
            AND s.generation = o.generation
    ) AS is_being_asked_for
FROM template_hosts x JOIN templates t ON t.id = x.template_id WHERE x.host_id = $1"""


async def progress(database: Database, host_id: UUID, held: HeldTemplate, now: datetime) -> bool:
    """Notes how far a host is with a template; whether users can see a difference."""
    row = await database.row(_PROGRESS, held.template_id, host_id, held.sequence, min(held.progress_percent, 99), now)
    return row is not None and row["visible"]


async def complete(database: Database, host_id: UUID, held: HeldTemplate, now: datetime) -> bool:
    """A host has all of a template: it appears, if it was being made, and its operation has succeeded; whether it is
    that. Nothing is written for any but the host that was told to make it, which is its sandbox's."""
    stages = stages_json(held.stages)
    row = await database.row(_COMPLETE, held.template_id, host_id, held.sequence, held.stored_bytes, now, stages)
    return row is not None and row["visible"]


async def fail(
    database: Database,
    template_id: UUID,
    host_id: UUID,
    before: int,
    error: NestboxError,
    stages: tuple[Stage, ...],
    now: datetime,
) -> bool:
    """A template could not be made: its name is free, its operation has failed. Nothing is written when the host's
    sequence is not below `before`; whether anything was."""
    given = (error.code, error.message, error.retryable, stages_json(stages))
    row = await database.row(_FAIL, template_id, host_id, before, now, *given)
    return row is not None and row["visible"]


async def gone(database: Database, template_id: UUID, host_id: UUID, before: int, now: datetime) -> bool:
    """A host no longer has a template; if it was the last one, its deletion is done, which is what is returned. Nothing
    is written when the host's sequence is not below `before`."""
    row = await database.row(_GONE, template_id, host_id, before, now)
    return row is not None and row["visible"]


async def of_host(database: Database, host_id: UUID) -> Sequence[Row]:
    """What the database has of the templates of a host, to be compared with what the host says."""
    return await database.rows(_OF_HOST, host_id)


async def states(database: Database, template_ids: Collection[UUID]) -> dict[UUID, TemplateState]:
    """Those of them that the database knows, in whatever state."""
    rows = await database.rows("SELECT id, state FROM templates WHERE id = ANY($1::uuid[])", list(template_ids))
    return {row["id"]: TemplateState(row["state"]) for row in rows}

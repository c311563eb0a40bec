"""Accepting commands about templates in SQL: each is one statement, as in `api/db/commands.py`."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.db.commands import RESULT, Acceptance, Accepted, accepted, common
from api.db.database import Database, Statements
from api.db.events import BEFORE, insert_events, insert_operation_events
from api.db.operations import OPERATION_COLUMNS, operation_of
from api.db.templates import IS_STOOD_ON, TEMPLATE_COLUMNS, template_of
from api.domain.operation import Operation
from api.domain.sandbox import State
from api.domain.template import NewTemplate, Template
from api.ids import BASE_TEMPLATE_ID

_CREATE = f"""WITH moved AS (
    UPDATE sandboxes s SET state = 'snapshotting', generation = s.generation + 1, cause = 'user', detail = '',
        auto_pause_at = NULL, state_deadline_at = $8, updated_at = $7, version = s.version + 1
    WHERE s.id = $9 AND s.team_id = $2 AND s.state = ANY($10::text[])
        AND EXISTS (SELECT FROM hosts WHERE hosts.id = s.host_id AND hosts.reachable)
    RETURNING new.*, {BEFORE}
), made AS (
    INSERT INTO templates (id, team_id, name, description, type, state, disk_size_mb, vcpus, memory_mb,
        source_sandbox_id, created_by, created_at)
    SELECT $11::uuid, $2, $12, $13, 'snapshot', 'creating', s.disk_size_mb, s.vcpus, s.memory_mb, s.id, $4, $7
    FROM moved s
), held AS (
    INSERT INTO template_hosts (template_id, host_id, updated_at) SELECT $11, s.host_id, $7 FROM moved s
), operation AS (
    INSERT INTO operations (id, team_id, sandbox_id, template_id, kind, state, progress_percent, actor, generation,
        idempotency_key, input_sha256, created_at)
    SELECT $1::uuid, $2::uuid, s.id, $11, $3, 'running', 0, $4, s.generation, $5, $6::bytea, $7::timestamptz
    FROM moved s RETURNING *
), logged AS ({insert_events(kind="'sandbox.' || $3", actor="$4", source="moved s", operation_id="$1::uuid")})
{RESULT}"""

_FOUND = f"""SELECT t.id FROM templates t
    WHERE t.id = $8 AND t.team_id = ANY($9::uuid[]) AND t.state = 'ready' AND t.id <> $10 AND NOT {IS_STOOD_ON}"""

_DELETE = f"""WITH removed AS (
    -- who creates a sandbox of it at the same time is met by the foreign key `sandboxes_template_live`
    UPDATE templates t SET deleted_at = $7, state = CASE
        WHEN EXISTS (SELECT FROM template_hosts x WHERE x.template_id = t.id) THEN 'deleting' ELSE 'deleted' END
    WHERE t.id IN ({_FOUND}) AND t.state = 'ready' RETURNING t.*
), operation AS (
    INSERT INTO operations (id, team_id, template_id, kind, state, actor, generation, idempotency_key, input_sha256,
        created_at, finished_at)
    SELECT $1::uuid, $2::uuid, t.id, $3, CASE WHEN t.state = 'deleted' THEN 'succeeded' ELSE 'running' END, $4, 0, $5,
        $6::bytea, $7::timestamptz, CASE WHEN t.state = 'deleted' THEN $7 END
    FROM removed t RETURNING *
), logged AS ({insert_operation_events(source="operation o")})
SELECT {TEMPLATE_COLUMNS}, {OPERATION_COLUMNS} FROM removed t CROSS JOIN operation o"""

_SWEEP = f"""WITH swept AS (
    UPDATE templates t SET state = 'deleted' WHERE t.state = 'deleting'
        AND NOT EXISTS (SELECT FROM template_hosts x WHERE x.template_id = t.id) RETURNING t.id
), operation AS (
    UPDATE operations o SET state = 'succeeded', finished_at = $1 FROM swept t
    WHERE o.template_id = t.id AND o.kind = 'delete_template' AND o.state = 'running' RETURNING o.*
), logged AS ({insert_operation_events(source="operation o")})
SELECT count(*) AS swept FROM swept"""


@dataclass(frozen=True, slots=True)
class Removal:
    """A template that is no longer there for users, and the operation that removes what hosts have of it."""

    template: Template
    operation: Operation


async def create(
    database: Statements,
    acceptance: Acceptance,
    sandbox_id: UUID,
    template: NewTemplate,
    sources: Collection[State],
) -> Accepted | None:
    """Accepts a template of a sandbox that is in one of `sources`; its name is taken from here on.

    None when there is no such sandbox, it is in another state, or its host does not answer.
    Raises: KeyUsedError. Conflict: `TEMPLATE_NAME_TAKEN`.
    """
    arguments = (sandbox_id, sorted(sources), template.id, template.name, template.description)
    return accepted(await database.row(_CREATE, *common(acceptance), *arguments))


async def delete(
    database: Statements, acceptance: Acceptance, template_id: UUID, teams: Collection[UUID]
) -> Removal | None:
    """Takes a template of one of these teams away from its users; its name is free from here on.

    None when there is no such template, or it may not be deleted, or something stands on it.
    Raises: KeyUsedError. Conflict: `TEMPLATE_IN_USE`, for what was created from it at the same moment.
    """
    first_seven = common(acceptance)[:7]
    row = await database.row(_DELETE, *first_seven, template_id, list(teams), BASE_TEMPLATE_ID)
    return None if row is None else Removal(template_of(row), operation_of(row))


async def sweep(database: Database, now: datetime) -> int:
    """Concludes deletions of templates that no host has any more; how many."""
    row = await database.row(_SWEEP, now)
    return 0 if row is None else int(row["swept"])

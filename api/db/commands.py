"""Accepting commands and refusals in SQL: each is one statement, and so one transaction.

It checks the move, raises the generation, writes the transitional state, the operation and the event. Two commands
at once meet at the row's lock: the second one finds the state of the first.
"""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.db import locks
from api.db.database import Database, Row, Statements
from api.db.events import BEFORE, insert_events, insert_operation_events
from api.db.operations import OPERATION_COLUMNS, operation_of
from api.db.sandboxes import HAS_DISK, JOINS, SANDBOX_COLUMNS, has_machine, sandbox_of
from api.domain.operation import ENDS_BY_ITSELF, Operation, OperationKind
from api.domain.sandbox import HOLDS_CAPACITY, Cause, Creation, Goal, Sandbox, State
from api.domain.sandbox.creation import DEFAULT_DISK_SIZE_MB, DEFAULT_MEMORY_MB, DEFAULT_VCPUS
from api.errors import NestboxError
from api.ids import PLATFORM_TEAM_ID


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What every command brings: the operation's id, who asks, and the key under which it may be repeated."""

    operation_id: UUID
    kind: OperationKind
    team_id: UUID
    actor: str
    now: datetime
    state_deadline_at: datetime
    idempotency_key: str | None
    input_sha256: bytes | None
    cause: Cause = Cause.USER


@dataclass(frozen=True, slots=True)
class Accepted:
    """A sandbox and the operation that moved it."""

    sandbox: Sandbox
    operation: Operation


SUPERSEDED = "SUPERSEDED"
"""Error code of an operation that a later command of the user overtook."""

NEW_OPERATION = """INSERT INTO operations
    (id, team_id, sandbox_id, kind, state, actor, generation, idempotency_key, input_sha256, created_at)
    SELECT $1::uuid, $2::uuid, s.id, $3, 'running', $4, s.generation, $5, $6::bytea, $7::timestamptz
    FROM moved s RETURNING *"""
RESULT = f"SELECT {SANDBOX_COLUMNS}, {OPERATION_COLUMNS} FROM moved s {JOINS} CROSS JOIN operation o"

_CREATE = f"""WITH named AS (
    SELECT id, type, vcpus, memory_mb, disk_size_mb FROM templates
    WHERE state = 'ready' AND team_id = ANY(ARRAY[$2::uuid, '{PLATFORM_TEAM_ID}']) AND (id = $10 OR name = $11)
    ORDER BY team_id = $2 DESC LIMIT 1
), template AS (
    SELECT id, type, coalesce($17, vcpus, {DEFAULT_VCPUS}) AS vcpus, coalesce($18, memory_mb, {DEFAULT_MEMORY_MB})
        AS memory_mb, coalesce($19, CASE WHEN type = 'base' THEN greatest(disk_size_mb, {DEFAULT_DISK_SIZE_MB})
            ELSE disk_size_mb END) AS disk_size_mb
    FROM named
    -- `check_shape` says the same
    WHERE (type = 'base' OR ($17::integer IS NULL OR $17 = vcpus) AND ($18::integer IS NULL OR $18 = memory_mb))
        AND ($19::integer IS NULL OR $19 >= disk_size_mb)
), host AS (
    SELECT h.id FROM hosts h CROSS JOIN template WHERE h.reachable AND h.id = ANY($12::uuid[])
        -- memory and disk that were kept lie where they were kept
        AND (template.type = 'base' OR EXISTS (
            SELECT FROM template_hosts x WHERE x.template_id = template.id AND x.host_id = h.id AND x.ready))
        -- what emulates its machines may have to serve one team at a time
        AND ($22::boolean OR h.isolation <> 'emulated' OR NOT EXISTS (
            SELECT FROM sandboxes WHERE host_id = h.id AND team_id <> $2 AND {HAS_DISK}))
    ORDER BY h.memory_total_mb - (
        SELECT coalesce(sum(memory_mb), 0) FROM sandboxes
        WHERE host_id = h.id AND state <> 'deleted' AND {has_machine("$13")}
    ) DESC, h.id LIMIT 1
), moved AS (
    INSERT INTO sandboxes (id, team_id, template_id, host_id, name, labels, environment, vcpus, memory_mb, disk_size_mb,
        timeout_sec, auto_resume, goal, generation, state, cause, state_deadline_at, last_active_at, created_at,
        updated_at)
    SELECT $9, $2, template.id, host.id, $14, $15::jsonb, $16::jsonb, template.vcpus, template.memory_mb,
        template.disk_size_mb, $20, $21,
        'running', 1, 'starting',
        'user', $8, $7, $7, $7
    FROM template CROSS JOIN host
    -- it is born pending, and starting at once, since its host was found in the same statement
    RETURNING *, 'pending' AS state_before, 'running' AS goal_before, 0::bigint AS generation_before
), operation AS ({NEW_OPERATION}),
logged AS ({insert_events(kind="'sandbox.' || $3", actor="$4", source="moved s", operation_id="$1::uuid")})
{RESULT}"""

NOT_OVERTAKEN = ", ".join(f"'{kind}'" for kind in sorted(ENDS_BY_ITSELF))

_MOVE = f"""WITH moved AS (
    UPDATE sandboxes s SET state = $9, goal = $10, generation = s.generation + 1, cause = $14, detail = '',
        auto_pause_at = NULL, state_deadline_at = $8, updated_at = $7, version = s.version + 1
    WHERE s.id = $11 AND s.team_id = $2 AND s.state = ANY($12::text[])
        AND ($13::boolean IS FALSE OR EXISTS (SELECT FROM hosts WHERE hosts.id = s.host_id AND hosts.reachable))
    RETURNING new.*, {BEFORE}
), superseded AS (
    UPDATE operations o SET state = 'failed', finished_at = $7, error_code = '{SUPERSEDED}',
        error_message = 'A later command overtook this one.'
    FROM moved s WHERE o.sandbox_id = s.id AND o.state = 'running' AND NOT o.kind IN ({NOT_OVERTAKEN})
), operation AS ({NEW_OPERATION}),
logged AS ({insert_events(kind="'sandbox.' || $3", actor="$4", source="moved s", operation_id="$1::uuid")})
{RESULT}"""

_SET_TIMEOUT = f"""WITH moved AS (
    UPDATE sandboxes s SET timeout_sec = $3, updated_at = $5, version = s.version + 1,
        last_active_at = greatest(s.last_active_at, $5::timestamptz),
        -- what the host began before, being idle, is older than this from now on
        generation = s.generation
            + CASE WHEN s.state = 'running' OR (s.state = 'pausing' AND s.goal = 'running') THEN 1 ELSE 0 END
    WHERE s.id = $1 AND s.team_id = $2 AND s.state = ANY($6::text[])
        AND EXISTS (SELECT FROM hosts WHERE hosts.id = s.host_id AND hosts.reachable)
    RETURNING new.*, {BEFORE}
), logged AS ({insert_events(kind="'sandbox.set_timeout'", actor="$4", source="moved s", cause="'user'")})
SELECT {SANDBOX_COLUMNS} FROM moved s {JOINS}"""

_REFUSE = f"""WITH moved AS (
    UPDATE sandboxes s SET state = $3, goal = $4, cause = $5, detail = $6, state_deadline_at = NULL, updated_at = $7,
        version = s.version + 1
    FROM operations o
    WHERE o.id = $1 AND s.id = o.sandbox_id AND s.generation = o.generation AND s.state = $2
    RETURNING new.*, {BEFORE}
), operation AS (
    UPDATE operations o SET state = 'failed', finished_at = coalesce(o.finished_at, $7), error_code = $8,
        error_message = $6, error_retryable = $9
    WHERE o.id = $1 AND o.state <> 'succeeded' AND o.error_code IS DISTINCT FROM '{SUPERSEDED}'
    RETURNING *
), dropped AS (
    UPDATE templates t SET state = 'deleted', deleted_at = $7
    FROM operation o WHERE t.id = o.template_id AND o.kind = 'create_template' AND t.state = 'creating'
), released AS (
    DELETE FROM template_hosts x USING operation o WHERE x.template_id = o.template_id AND o.kind = 'create_template'
), told AS ({insert_operation_events(source="operation o WHERE NOT EXISTS (SELECT FROM moved)")}
), logged AS ({
    insert_events(kind="'sandbox.refused'", actor="'host-' || s.host_id", source="moved s", operation_id="$1::uuid")
})
{RESULT}"""


async def create(
    database: Statements,
    acceptance: Acceptance,
    sandbox_id: UUID,
    creation: Creation,
    hosts: Collection[UUID],
    *,
    shares_emulated: bool = True,
) -> Accepted | None:
    """Accepts a new sandbox on the host with most memory to give; None when there is no such template or host.

    Unless `shares_emulated`, a host that emulates its machines is only for a team that is alone there, for which this
    has to be in a transaction: two at once wait for each other. Raises: KeyUsedError.
    """
    if not shares_emulated:
        await database.execute("SELECT pg_advisory_xact_lock($1)", locks.PLACEMENT)
    row = await database.row(
        _CREATE,
        *common(acceptance),
        sandbox_id,
        creation.template_id,
        creation.template_name,
        list(hosts),
        sorted(HOLDS_CAPACITY),
        creation.name,
        json.dumps(creation.labels),
        json.dumps(creation.environment),
        creation.vcpus,
        creation.memory_mb,
        creation.disk_size_mb,
        creation.timeout_sec,
        creation.auto_resume,
        shares_emulated,
    )
    return accepted(row)


async def move(
    database: Statements,
    acceptance: Acceptance,
    sandbox_id: UUID,
    *,
    target: State,
    goal: Goal,
    sources: Collection[State],
    needs_host: bool,
) -> Accepted | None:
    """Accepts a command for a sandbox that is in one of `sources`, and ends the operations that it overtakes.

    None when there is no such sandbox, it is in another state, or its host is needed and does not answer.
    Raises: KeyUsedError.
    """
    row = await database.row(
        _MOVE, *common(acceptance), target, goal, sandbox_id, sorted(sources), needs_host, acceptance.cause
    )
    return accepted(row)


async def set_timeout(
    database: Statements,
    team_id: UUID,
    sandbox_id: UUID,
    timeout_sec: int,
    *,
    actor: str,
    now: datetime,
    states: Collection[State],
) -> Sandbox | None:
    """Writes a timeout, and raises the generation of what runs; None when there is no such sandbox, it is in another
    state, or its host does not answer."""
    row = await database.row(_SET_TIMEOUT, sandbox_id, team_id, timeout_sec, actor, now, sorted(states))
    return None if row is None else sandbox_of(row, with_operation=False)


@dataclass(frozen=True, slots=True)
class Reversal:
    """Where a sandbox goes back to when its host refuses: the other way of one kind of command."""

    source: State
    target: State
    goal: Goal
    cause: Cause


async def refuse(
    database: Database, operation_id: UUID, reversal: Reversal, error: NestboxError, now: datetime
) -> Accepted | None:
    """Takes a command back that the host definitely refused, guarded by the generation of the command.

    The operation fails with the error either way, and the template that it was to make is not made; None when the
    sandbox has moved on meanwhile.
    """
    row = await database.row(
        _REFUSE,
        operation_id,
        reversal.source,
        reversal.target,
        reversal.goal,
        reversal.cause,
        error.message,
        now,
        error.code,
        error.retryable,
    )
    return accepted(row)


def common(acceptance: Acceptance) -> tuple[object, ...]:
    """The first eight arguments of every statement that accepts a command."""
    return (
        acceptance.operation_id,
        acceptance.team_id,
        acceptance.kind,
        acceptance.actor,
        acceptance.idempotency_key,
        acceptance.input_sha256,
        acceptance.now,
        acceptance.state_deadline_at,
    )


def accepted(row: Row | None) -> Accepted | None:
    """What a statement with `RESULT` answered."""
    return None if row is None else Accepted(sandbox_of(row, with_operation=True), operation_of(row))

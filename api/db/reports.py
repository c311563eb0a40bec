"""Reports of hosts in SQL: guarded writes, each one statement, and so one transaction.

A report is applied when it is newer than the last one (`sequence`), when the host may make the move, and, while a
command is under way, when the host has heard of that command (`generation`): what it reported before says nothing. Nor
does an idle pause that began before a newer command: whoever was there meanwhile goes first.
"""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.db.database import Database
from api.db.events import BEFORE, insert_events
from api.db.operations import OPERATION_COLUMNS, operation_of, stages_json
from api.db.sandboxes import JOINS, SANDBOX_COLUMNS, sandbox_of
from api.domain.machine import WAITS_FOR_ROOM, Machine
from api.domain.operation import ACHIEVED_BY, ENDS_BY_ITSELF, Operation
from api.domain.sandbox import TRANSITIONAL, Cause, Owner, Sandbox, State, sources


@dataclass(frozen=True, slots=True)
class Applied:
    """The change is written. `operation` is the one that it ended, if any."""

    sandbox: Sandbox
    operation: Operation | None


@dataclass(frozen=True, slots=True)
class Stale:
    """Nothing was written: something newer is known, or the move is not the host's to make. This is normal."""


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such sandbox."""


Answer = Applied | Stale | Missing

_ENDS_BY_ITSELF = ", ".join(f"'{kind}'" for kind in sorted(ENDS_BY_ITSELF))

_FINISH = f"""UPDATE operations o SET finished_at = s.updated_at, stages = $9::jsonb,
        state = CASE WHEN o.kind = ANY($10::text[]) THEN 'succeeded' ELSE 'failed' END,
        error_code = CASE WHEN o.kind = ANY($10::text[]) THEN NULL
            WHEN o.kind = 'pause' THEN 'PAUSE_FAILED' ELSE 'START_FAILED' END,
        error_message = CASE WHEN o.kind = ANY($10::text[]) THEN NULL
            WHEN s.detail <> '' THEN s.detail ELSE 'The host could not do it.' END
    FROM moved s WHERE o.sandbox_id = s.id AND o.state = 'running' AND NOT s.state = ANY($11::text[])
        AND NOT o.kind IN ({_ENDS_BY_ITSELF})
    RETURNING o.*"""

_APPLY = f"""WITH moved AS (
    UPDATE sandboxes s SET state = $3, cause = $4, detail = $5, updated_at = $8, version = s.version + 1,
        sequence = greatest(s.sequence, $6::bigint),
        observed_generation = greatest(s.observed_generation, $7::bigint),
        incarnation = coalesce($12::uuid, s.incarnation),
        last_active_at = greatest(s.last_active_at, $13::timestamptz), stored_bytes = $17::bigint,
        state_deadline_at = $14::timestamptz, auto_pause_at = $16::timestamptz,
        deleted_at = CASE WHEN $3 = 'deleted' THEN $8::timestamptz END,
        -- what the host did on its own, or could not do, is what is wanted from now on
        goal = CASE WHEN $3 = 'paused' AND s.goal = 'running' THEN 'paused'
            WHEN $3 = 'running' AND s.goal = 'paused' THEN 'running' ELSE s.goal END,
        -- a pause that the host began is recorded as a command of the system
        generation = s.generation + CASE WHEN $3 = 'paused' AND s.goal = 'running'
            AND s.state = ANY('{{running,pausing}}') THEN 1 ELSE 0 END
    WHERE s.id = $1 AND s.host_id = $2 AND s.state = ANY($15::text[])
        AND (s.sequence < $6 OR $3 = 'deleted')
        AND ($7 >= s.generation OR NOT (s.state = ANY($11::text[]) OR $4 = 'idle_timeout'))
    RETURNING new.*, {BEFORE}
), operation AS ({_FINISH}),
logged AS ({
    insert_events(
        kind="'sandbox.report'",
        actor="'host-' || s.host_id",
        source="moved s",
        operation_id="(SELECT o.id FROM operation o WHERE o.sandbox_id = s.id LIMIT 1)",
    )
})
SELECT p.present, {SANDBOX_COLUMNS}, {OPERATION_COLUMNS}
FROM (SELECT EXISTS (SELECT FROM sandboxes WHERE id = $1) AS present) p
LEFT JOIN (moved s {JOINS}) ON true LEFT JOIN operation o ON o.sandbox_id = s.id"""

_LOSE = f"""WITH moved AS (
    UPDATE sandboxes s SET state = $4, cause = $5, detail = $6, updated_at = $7, version = s.version + 1,
        state_deadline_at = NULL, auto_pause_at = NULL, deleted_at = CASE WHEN $4 = 'deleted' THEN $7::timestamptz END
    WHERE s.id = $1 AND s.state = $2 AND s.version = $3
    RETURNING new.*, {BEFORE}
), operation AS (
    UPDATE operations o SET finished_at = $7, state = CASE WHEN $4 = 'deleted' THEN 'succeeded' ELSE 'failed' END,
        error_code = CASE WHEN $4 <> 'deleted' THEN 'START_FAILED' END,
        error_message = CASE WHEN $4 <> 'deleted' THEN $6 END
    FROM moved s WHERE o.sandbox_id = s.id AND o.state = 'running' AND NOT o.kind IN ({_ENDS_BY_ITSELF})
    RETURNING o.*
), logged AS ({insert_events(kind="'sandbox.reconciled'", actor="'system'", source="moved s")})
SELECT true AS present, {SANDBOX_COLUMNS}, {OPERATION_COLUMNS}
FROM moved s {JOINS} LEFT JOIN operation o ON o.sandbox_id = s.id"""

_NEW_TIME = "s.sequence < m.sequence AND s.auto_pause_at IS DISTINCT FROM m.auto_pause_at"
# without a sequence of its own: a host whose disk is full cannot write one down
_NEW_WAIT = "s.sequence <= m.sequence AND m.waits_for_room <> (s.detail = $12::text)"
_OBSERVE = f"""WITH reported AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::uuid[], $6::timestamptz[],
        $8::timestamptz[], $10::bigint[], $11::boolean[])
        AS m (id, state, sequence, generation, incarnation, last_active_at, auto_pause_at, stored_bytes, waits_for_room)
), moved AS (
    UPDATE sandboxes s SET sequence = greatest(s.sequence, m.sequence),
        observed_generation = greatest(s.observed_generation, m.generation),
        incarnation = coalesce(m.incarnation, s.incarnation),
        last_active_at = greatest(s.last_active_at, m.last_active_at),
        stored_bytes = CASE WHEN s.sequence <= m.sequence THEN m.stored_bytes ELSE s.stored_bytes END,
        auto_pause_at = CASE WHEN {_NEW_TIME} THEN m.auto_pause_at ELSE s.auto_pause_at END,
        detail = CASE WHEN NOT ({_NEW_WAIT}) THEN s.detail WHEN m.waits_for_room THEN $12::text ELSE '' END,
        version = s.version + CASE WHEN {_NEW_TIME} OR {_NEW_WAIT} THEN 1 ELSE 0 END
    FROM reported m
    WHERE s.id = m.id AND s.state = m.state AND s.host_id = $7
        AND (s.sequence < m.sequence OR s.last_active_at < m.last_active_at
            OR (s.sequence = m.sequence AND s.stored_bytes <> m.stored_bytes)
            OR {_NEW_WAIT})
    RETURNING new.*, {BEFORE}, new.version > old.version AS visible
), logged AS (
    {insert_events(kind="'sandbox.observed'", actor="'host-' || s.host_id", source="moved s", at="$9::timestamptz")}
    WHERE s.visible
)
SELECT count(*) AS noted, count(*) FILTER (WHERE visible) AS visible FROM moved"""


@dataclass(frozen=True, slots=True)
class Observed:
    """How many rows were written, and how many of them look different to users now."""

    noted: int
    visible: int


async def apply(
    database: Database, host_id: UUID, machine: Machine, now: datetime, deadline: datetime | None
) -> Answer:
    """Writes what a host says of a machine; `deadline` is that of the state, if it is a transitional one."""
    from_states = sources(machine.state, Owner.HOST, machine.cause)
    if not from_states:
        # as of a start that is under way: the command has written it already
        return Stale()
    row = await database.row(
        _APPLY,
        machine.sandbox_id,
        host_id,
        machine.state,
        machine.cause,
        machine.detail,
        machine.sequence,
        machine.generation,
        now,
        stages_json(machine.stages),
        sorted(ACHIEVED_BY.get(machine.state, frozenset())),
        sorted(TRANSITIONAL),
        machine.incarnation,
        machine.last_active_at,
        deadline,
        sorted(from_states),
        machine.auto_pause_at,
        machine.stored_bytes,
    )
    if row is None or not row["present"]:
        return Missing()
    if row["id"] is None:
        return Stale()
    operation = None if row["o_id"] is None else operation_of(row)
    return Applied(sandbox_of(row, with_operation=True), operation)


async def conclude(
    database: Database, seen: tuple[UUID, State, int], target: State, cause: Cause, detail: str, now: datetime
) -> Answer:
    """Moves a sandbox on of which its host, which answers, knows nothing. `seen` is its id, state and version as they
    were read before the host was asked: if anything has changed since, nothing is written."""
    sandbox_id, state, version = seen
    if state not in sources(target, Owner.HOST, cause):
        return Stale()
    row = await database.row(_LOSE, sandbox_id, state, version, target, cause, detail, now)
    if row is None:
        return Stale()
    return Applied(sandbox_of(row, with_operation=True), None if row["o_id"] is None else operation_of(row))


async def observe(database: Database, host_id: UUID, machines: Sequence[Machine], now: datetime) -> Observed:
    """Keeps what is new of machines whose state is known already. An event only where a user can see a difference: in
    the time at which it is going to be paused, and in whether it waits for room on its host's disk."""
    row = await database.row(
        _OBSERVE,
        [machine.sandbox_id for machine in machines],
        [machine.state for machine in machines],
        [machine.sequence for machine in machines],
        [machine.generation for machine in machines],
        [machine.incarnation for machine in machines],
        [machine.last_active_at for machine in machines],
        host_id,
        [machine.auto_pause_at for machine in machines],
        now,
        [machine.stored_bytes for machine in machines],
        [machine.waits_for_room for machine in machines],
        WAITS_FOR_ROOM,
    )
    return Observed(0, 0) if row is None else Observed(row["noted"], row["visible"])

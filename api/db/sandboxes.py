"""Sandboxes in SQL: reading them."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.db.database import Database, Row
from api.db.operations import OPERATION_COLUMNS, operation_of
from api.db.templates import TEMPLATE_COLUMNS, template_of
from api.domain.page import Page, PageRequest, page_of
from api.domain.sandbox import HOLDS_DISK, NEEDS_HOST, UNREACHABLE, Cause, Goal, Sandbox, SandboxFilter, State

SANDBOX_COLUMNS = f"""s.id, s.team_id, s.template_id, s.host_id, s.name, s.labels, s.vcpus, s.memory_mb,
    s.disk_size_mb, s.timeout_sec, s.goal, s.generation, s.state, s.cause, s.detail, s.sequence, s.last_active_at,
    s.auto_resume, s.auto_pause_at, s.parent_id, s.fork_id, s.stored_bytes,
    s.created_at, s.updated_at, s.deleted_at, s.version, coalesce(h.reachable, true) AS reachable, {TEMPLATE_COLUMNS}"""
"""Of tables called `s` (sandboxes), `t` (templates) and `h` (hosts)."""

HAS_DISK = " AND ".join(f"state <> '{state}'" for state in sorted(set(State) - HOLDS_DISK))
"""Of a sandbox: it has, or is to get, a disk on its host."""


def has_machine(holding: str) -> str:
    """Of a sandbox: it holds vCPUs and memory of its host. One that is paused has no machine while its snapshot is
    taken. `holding` is the parameter with `HOLDS_CAPACITY`."""
    return f"state = ANY({holding}::text[]) AND NOT (state = 'snapshotting' AND goal = 'paused')"


JOINS = "JOIN templates t ON t.id = s.template_id LEFT JOIN hosts h ON h.id = s.host_id"

_WITH_OPERATION = f"""SELECT {SANDBOX_COLUMNS}, {OPERATION_COLUMNS} FROM sandboxes s {JOINS}
    LEFT JOIN LATERAL (
        SELECT * FROM operations WHERE sandbox_id = s.id ORDER BY generation DESC LIMIT 1
    ) o ON true"""

_SHOWN_STATE = f"""CASE WHEN s.state = ANY('{{{",".join(sorted(NEEDS_HOST))}}}') AND NOT coalesce(h.reachable, true)
    THEN '{UNREACHABLE}' ELSE s.state END"""


def sandbox_of(row: Row, *, with_operation: bool) -> Sandbox:
    """The sandbox in a row with `SANDBOX_COLUMNS` and, if asked for, `OPERATION_COLUMNS`."""
    return Sandbox(
        id=row["id"],
        team_id=row["team_id"],
        template_id=row["template_id"],
        template=template_of(row),
        host_id=row["host_id"],
        name=row["name"],
        labels=json.loads(row["labels"]),
        vcpus=row["vcpus"],
        memory_mb=row["memory_mb"],
        disk_size_mb=row["disk_size_mb"],
        timeout_sec=row["timeout_sec"],
        goal=Goal(row["goal"]),
        generation=row["generation"],
        state=State(row["state"]),
        cause=Cause(row["cause"]),
        detail=row["detail"],
        sequence=row["sequence"],
        last_active_at=row["last_active_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        deleted_at=row["deleted_at"],
        version=row["version"],
        reachable=row["reachable"],
        auto_resume=row["auto_resume"],
        auto_pause_at=row["auto_pause_at"],
        parent_id=row["parent_id"],
        fork_id=row["fork_id"],
        stored_bytes=row["stored_bytes"],
        last_operation=operation_of(row) if with_operation and row["o_id"] is not None else None,
    )


async def get(database: Database, team_id: UUID, sandbox_id: UUID) -> Sandbox | None:
    """A sandbox of a team, with its newest operation."""
    row = await database.row(f"{_WITH_OPERATION} WHERE s.id = $2 AND s.team_id = $1", team_id, sandbox_id)
    return None if row is None else sandbox_of(row, with_operation=True)


async def get_many(database: Database, team_id: UUID | None, sandbox_ids: Collection[UUID]) -> dict[UUID, Sandbox]:
    """Those of them that are a team's, or, for None, any team's, with their newest operations."""
    if team_id is None:
        return {sandbox.id: sandbox for sandbox in await load(database, sandbox_ids)}
    rows = await database.rows(
        f"{_WITH_OPERATION} WHERE s.id = ANY($2::uuid[]) AND s.team_id = $1", team_id, list(sandbox_ids)
    )
    return {row["id"]: sandbox_of(row, with_operation=True) for row in rows}


async def load(database: Database, sandbox_ids: Collection[UUID]) -> tuple[Sandbox, ...]:
    """Sandboxes of whatever team, with their newest operations: for whoever decides who sees what."""
    rows = await database.rows(f"{_WITH_OPERATION} WHERE s.id = ANY($1::uuid[])", list(sandbox_ids))
    return tuple(sandbox_of(row, with_operation=True) for row in rows)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Enough to run something in a sandbox."""

    state: State
    host_id: UUID | None
    reachable: bool
    auto_resume: bool


async def whereabouts(database: Database, team_id: UUID, sandbox_id: UUID) -> Whereabouts | None:
    """Where a team's sandbox is and whether it runs: the one query of an exec."""
    row = await database.row(
        """SELECT s.state, s.host_id, coalesce(h.reachable, true) AS reachable, s.auto_resume
        FROM sandboxes s LEFT JOIN hosts h ON h.id = s.host_id WHERE s.id = $2 AND s.team_id = $1""",
        team_id,
        sandbox_id,
    )
    return (
        None if row is None else Whereabouts(State(row["state"]), row["host_id"], row["reachable"], row["auto_resume"])
    )


async def page(
    database: Database, team_id: UUID | None, criteria: SandboxFilter, request: PageRequest, *, newest_first: bool
) -> Page[Sandbox]:
    """A page of the sandboxes of a team, or, for None, of all teams, without operations, in one query."""
    where, arguments = _where(team_id, criteria)
    # backwards pages are read from their end
    descending = newest_first != request.backwards
    cursor = request.before if request.backwards else request.after
    if cursor is not None:
        arguments.append(cursor)
        where += f" AND s.id {'<' if descending else '>'} ${len(arguments)}"
    arguments.append(request.size + 1)
    rows = await database.rows(
        f"""SELECT {SANDBOX_COLUMNS} FROM sandboxes s {JOINS} WHERE {where}
        ORDER BY s.id {"DESC" if descending else "ASC"} LIMIT ${len(arguments)}""",
        *arguments,
    )
    return page_of(tuple(sandbox_of(row, with_operation=False) for row in rows), request)


async def count(database: Database, team_id: UUID | None, criteria: SandboxFilter) -> int:
    """How many of the sandboxes of a team, or, for None, of all teams, match."""
    where, arguments = _where(team_id, criteria)
    row = await database.row(f"SELECT count(*) FROM sandboxes s {JOINS} WHERE {where}", *arguments)
    return 0 if row is None else int(row[0])


async def snapshot(database: Database, team_id: UUID, criteria: SandboxFilter, limit: int) -> tuple[Sandbox, ...]:
    """The newest of a team's sandboxes that match, with their newest operations."""
    where, arguments = _where(team_id, criteria)
    rows = await database.rows(
        f"{_WITH_OPERATION} WHERE {where} ORDER BY s.id DESC LIMIT ${len(arguments) + 1}", *arguments, limit
    )
    return tuple(sandbox_of(row, with_operation=True) for row in rows)


async def touch(database: Database, team_id: UUID, sandbox_id: UUID, now: datetime) -> Sandbox | None:
    """Notes that a team's sandbox is in use, and returns it. No event: nothing but the time has changed."""
    await database.execute(
        "UPDATE sandboxes SET last_active_at = greatest(last_active_at, $3) WHERE id = $2 AND team_id = $1",
        team_id,
        sandbox_id,
        now,
    )
    return await get(database, team_id, sandbox_id)


async def environment(database: Database, sandbox_id: UUID) -> dict[str, str]:
    """The environment of a sandbox, which no reader of it needs but its host."""
    row = await database.row("SELECT environment FROM sandboxes WHERE id = $1", sandbox_id)
    return {} if row is None else dict(json.loads(row["environment"]))


def _where(team_id: UUID | None, criteria: SandboxFilter) -> tuple[str, list[object]]:
    """`SandboxFilter.matches` in SQL; without deleted ones a partial index serves, of the team's or of all."""
    conditions = ["true"]
    arguments: list[object] = []

    def add(condition: str, value: object) -> None:
        arguments.append(value)
        conditions.append(condition.replace("?", f"${len(arguments)}"))

    if team_id is not None:
        add("s.team_id = ?", team_id)
    if criteria.states is None or State.DELETED not in criteria.states:
        conditions.append("s.state <> 'deleted'")
    if criteria.states is not None:
        add(f"{_SHOWN_STATE} = ANY(?::text[])", sorted(criteria.states))
    if criteria.template_id is not None:
        add("s.template_id = ?", criteria.template_id)
    if criteria.labels:
        add("s.labels @> ?::jsonb", json.dumps(criteria.labels))
    if criteria.name_contains is not None:
        add("strpos(lower(s.name), lower(?)) > 0", criteria.name_contains)
    if criteria.created_after is not None:
        add("s.created_at >= ?", criteria.created_after)
    if criteria.created_before is not None:
        add("s.created_at < ?", criteria.created_before)
    return " AND ".join(conditions), arguments

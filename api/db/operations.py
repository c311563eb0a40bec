"""Operations in SQL."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

import json
from collections.abc import Collection
from uuid import UUID

from api.db.database import Database, Row
from api.domain.operation import Operation, OperationFilter, OperationKind, OperationState, Stage
from api.domain.page import Page, PageRequest, page_of

OPERATION_COLUMNS = """o.id AS o_id, o.team_id AS o_team_id, o.sandbox_id AS o_sandbox_id, o.kind AS o_kind,
    o.state AS o_state, o.actor AS o_actor, o.generation AS o_generation, o.stages AS o_stages,
    o.error_code AS o_error_code, o.error_message AS o_error_message, o.error_retryable AS o_error_retryable,
    o.created_at AS o_created_at, o.finished_at AS o_finished_at, o.template_id AS o_template_id,
    o.progress_percent AS o_progress_percent"""
"""Of a table called `o`."""


def operation_of(row: Row) -> Operation:
    """The operation in a row with `OPERATION_COLUMNS`."""
    return Operation(
        id=row["o_id"],
        team_id=row["o_team_id"],
        sandbox_id=row["o_sandbox_id"],
        kind=OperationKind(row["o_kind"]),
        state=OperationState(row["o_state"]),
        actor=row["o_actor"],
        generation=row["o_generation"],
        stages=stages_of(row["o_stages"]),
        error_code=row["o_error_code"],
        error_message=row["o_error_message"],
        error_retryable=row["o_error_retryable"],
        created_at=row["o_created_at"],
        finished_at=row["o_finished_at"],
        template_id=row["o_template_id"],
        progress_percent=row["o_progress_percent"],
    )


def stages_of(text: str) -> tuple[Stage, ...]:
    """Stages as `stages_json` wrote them."""
    return tuple(Stage(stage["name"], stage["duration_us"]) for stage in json.loads(text))


def stages_json(stages: tuple[Stage, ...]) -> str:
    """Stages as the column holds them."""
    return json.dumps([{"name": stage.name, "duration_us": stage.duration_us} for stage in stages])


async def get(database: Database, team_id: UUID, operation_id: UUID) -> Operation | None:
    """An operation of a team."""
    row = await database.row(
        f"SELECT {OPERATION_COLUMNS} FROM operations o WHERE o.id = $2 AND o.team_id = $1", team_id, operation_id
    )
    return None if row is None else operation_of(row)


async def load(database: Database, operation_ids: Collection[UUID]) -> tuple[Operation, ...]:
    """Operations of whatever team: for whoever decides who sees what."""
    rows = await database.rows(
        f"SELECT {OPERATION_COLUMNS} FROM operations o WHERE o.id = ANY($1::uuid[])", list(operation_ids)
    )
    return tuple(operation_of(row) for row in rows)


async def by_key(database: Database, team_id: UUID, key: str) -> tuple[Operation, bytes] | None:
    """The operation that a team's idempotency key led to, and the SHA-256 of the input that it was accepted with."""
    row = await database.row(
        f"""SELECT {OPERATION_COLUMNS}, o.input_sha256 FROM operations o
        WHERE o.team_id = $1 AND o.idempotency_key = $2""",
        team_id,
        key,
    )
    return None if row is None else (operation_of(row), row["input_sha256"])


async def page(database: Database, criteria: OperationFilter, request: PageRequest) -> Page[Operation]:
    """Operations of all teams, the newest first."""
    where, arguments = _where(criteria)
    cursor = request.before if request.backwards else request.after
    if cursor is not None:
        arguments.append(cursor)
        where += f" AND o.id {'>' if request.backwards else '<'} ${len(arguments)}"
    arguments.append(request.size + 1)
    rows = await database.rows(
        f"""SELECT {OPERATION_COLUMNS} FROM operations o WHERE {where}
        ORDER BY o.id {"ASC" if request.backwards else "DESC"} LIMIT ${len(arguments)}""",
        *arguments,
    )
    return page_of(tuple(operation_of(row) for row in rows), request)


async def count(database: Database, criteria: OperationFilter) -> int:
    """How many operations of all teams match."""
    where, arguments = _where(criteria)
    row = await database.row(f"SELECT count(*) FROM operations o WHERE {where}", *arguments)
    return 0 if row is None else int(row[0])


def _where(criteria: OperationFilter) -> tuple[str, list[object]]:
    conditions = ["true"]
    arguments: list[object] = []
    if criteria.state is not None:
        # written out: only so do plans that are kept use the partial indexes of what runs and what failed
        conditions.append(f"o.state = '{criteria.state.value}'")
    for column, value in (
        ("team_id", criteria.team_id),
        ("kind", criteria.kind),
        ("sandbox_id", criteria.sandbox_id),
    ):
        if value is not None:
            arguments.append(value)
            conditions.append(f"o.{column} = ${len(arguments)}")
    return " AND ".join(conditions), arguments


async def latest(database: Database, team_id: UUID | None, sandbox_ids: Collection[UUID]) -> dict[UUID, Operation]:
    """The newest operation of each of these sandboxes that is a team's, or, for None, any team's."""
    rows = await database.rows(
        f"""SELECT DISTINCT ON (o.sandbox_id) {OPERATION_COLUMNS} FROM operations o
        WHERE ($1::uuid IS NULL OR o.team_id = $1) AND o.sandbox_id = ANY($2::uuid[])
        ORDER BY o.sandbox_id, o.generation DESC""",
        team_id,
        list(sandbox_ids),
    )
    return {row["o_sandbox_id"]: operation_of(row) for row in rows}

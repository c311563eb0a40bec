"""The audit log in SQL: a line is written once and never changed."""

from datetime import datetime
from uuid import UUID

from api.db.database import Database, Statements
from api.domain.audit import AuditFilter, AuditLine
from api.domain.page import Page, PageRequest, page_of

BATCH_MAX = 1000
"""Lines that are removed at once."""


async def insert(statements: Statements, line: AuditLine) -> None:
    """Writes a line."""
    await _insert(statements, line, "SELECT 1")


async def insert_alone(database: Database, line: AuditLine) -> None:
    """Writes a line that belongs to no change of rows, and does not wait for the disk: a power failure within a second
    may lose it, the end of a process does not."""
    await _insert(database, line, "SELECT set_config('synchronous_commit', 'off', true)")


async def _insert(statements: Statements, line: AuditLine, first: str) -> None:
    await statements.execute(
        f"""WITH before AS MATERIALIZED ({first})
        INSERT INTO audit_log (id, at, team_id, actor, action, resource, result, request_id, address)
        SELECT $1::uuid, $2::timestamptz, $3::uuid, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text
        FROM before""",  # noqa: S608 - a constant
        line.id,
        line.at,
        line.team_id,
        line.actor,
        line.action,
        line.target,
        line.result,
        line.request_id,
        line.address,
    )


async def page(
    database: Database, team_id: UUID | None, criteria: AuditFilter, request: PageRequest
) -> Page[AuditLine]:
    """Lines of a team, or, for None, of the whole platform, the newest first."""
    rows = await database.rows(
        """SELECT id, at, team_id, actor, action, resource AS target, result, request_id, address FROM audit_log
        WHERE ($1::uuid IS NULL OR team_id = $1) AND ($2::text IS NULL OR actor = $2)
            AND ($3::text IS NULL OR action = $3) AND ($4::text IS NULL OR resource = $4)
            AND ($5::boolean IS NULL OR (result <> 'OK') = $5) AND ($6::uuid IS NULL OR id < $6)
        ORDER BY id DESC LIMIT $7""",
        team_id,
        criteria.actor,
        criteria.action,
        criteria.target,
        criteria.refused,
        request.after,
        request.size + 1,
    )
    return page_of(tuple(AuditLine(**row) for row in rows), request)


async def prune(database: Database, before: datetime) -> int:
    """Removes a batch of the oldest lines from before a time; how many. What is younger than 30 days by the database's
    clock stays, whatever the time: a function of the owner's removes, which the role that serves could not."""
    row = await database.row("SELECT audit_log_prune($1, $2) AS removed", before, BATCH_MAX)
    return 0 if row is None else int(row["removed"])

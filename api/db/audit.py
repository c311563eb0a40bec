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
    await statements.execute(
        """INSERT INTO audit_log (id, at, team_id, actor, action, resource, result, request_id, address)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
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
    """Removes a batch of lines from before a time, which must be more than 30 days ago; how many. Raises: Internal
    when it is not: the trigger refuses."""
    return await database.execute(
        "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < $1 ORDER BY at LIMIT $2)",
        before,
        BATCH_MAX,
    )

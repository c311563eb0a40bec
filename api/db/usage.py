"""What a team uses, in SQL."""

from uuid import UUID

from api.db.database import Database
from api.domain.usage import Usage


async def of_team(database: Database, team_id: UUID) -> Usage:
    """The sums over a team's sandboxes that are not deleted, and over its templates of which hosts have files."""
    row = await database.row(
        """SELECT
            (SELECT coalesce(sum(s.stored_bytes), 0) FROM sandboxes s WHERE s.team_id = $1 AND s.state <> 'deleted')
                AS sandbox_bytes,
            (SELECT coalesce(sum(x.stored_bytes), 0) FROM template_hosts x JOIN templates t ON t.id = x.template_id
                WHERE t.team_id = $1) AS template_bytes""",
        team_id,
    )
    return Usage(0, 0) if row is None else Usage(int(row["sandbox_bytes"]), int(row["template_bytes"]))

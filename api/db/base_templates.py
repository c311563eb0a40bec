"""The platform's base templates in SQL: what the hosts' command line makes and removes."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.db.database import Database
from api.db.templates import TEMPLATE_COLUMNS, template_of
from api.domain.template import Template, TemplateType
from api.ids import BASE_TEMPLATE_ID, PLATFORM_TEAM_ID


@dataclass(frozen=True, slots=True)
class Removal:
    """How it went: whether there was such a template, how many sandboxes it has, and whether it is gone now."""

    was_found: bool
    sandboxes: int
    is_removed: bool


async def list_all(database: Database) -> list[tuple[Template, int]]:
    """Each with the number of sandboxes that stand on it, the oldest first. One that never came up has no disk."""
    rows = await database.rows(
        f"""SELECT {TEMPLATE_COLUMNS}, (
            SELECT count(*) FROM sandboxes s WHERE s.template_id = t.id AND s.state NOT IN ('failed', 'deleted')
        ) AS sandboxes
        FROM templates t WHERE t.team_id = $1 AND t.type = $2 AND t.deleted_at IS NULL ORDER BY t.id""",
        PLATFORM_TEAM_ID,
        TemplateType.BASE,
    )
    return [(template_of(row), row["sandboxes"]) for row in rows]


async def insert(
    database: Database, template_id: UUID, name: str, description: str, disk_size_mb: int, now: datetime
) -> bool:
    """Makes it; False if the platform has a template of that name already, and nothing was changed."""
    count = await database.execute(
        """INSERT INTO templates (id, team_id, name, description, type, disk_size_mb, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (team_id, name) WHERE deleted_at IS NULL DO NOTHING""",
        template_id,
        PLATFORM_TEAM_ID,
        name,
        description,
        TemplateType.BASE,
        disk_size_mb,
        now,
    )
    return count > 0


async def remove(database: Database, name: str, now: datetime) -> Removal:
    """Ends it unless a sandbox stands on it. The built-in one is not found."""
    row = await database.row(
        """WITH named AS (
            SELECT id FROM templates WHERE team_id = $1 AND name = $2 AND type = $3 AND id <> $4 AND deleted_at IS NULL
            FOR UPDATE
        ), used AS (
            SELECT count(*) AS sandboxes FROM sandboxes s JOIN named ON named.id = s.template_id
            WHERE s.state NOT IN ('failed', 'deleted')
        ), removed AS (
            UPDATE templates t SET state = 'deleted', deleted_at = $5 FROM named, used
            WHERE t.id = named.id AND used.sandboxes = 0 RETURNING t.id
        )
        SELECT EXISTS (SELECT FROM named) AS was_found, used.sandboxes, EXISTS (SELECT FROM removed) AS is_removed
        FROM used""",
        PLATFORM_TEAM_ID,
        name,
        TemplateType.BASE,
        BASE_TEMPLATE_ID,
        now,
    )
    return Removal(False, 0, False) if row is None else Removal(**row)

"""Templates in SQL."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from uuid import UUID

from api.db.database import Database, Row
from api.domain.page import Page, PageRequest, page_of
from api.domain.template import Template, TemplateFilter, TemplateType
from api.ids import PLATFORM_TEAM_ID

TEMPLATE_COLUMNS = """t.id AS t_id, t.team_id AS t_team_id, t.name AS t_name, t.description AS t_description,
    t.type AS t_type, t.disk_size_mb AS t_disk_size_mb, t.vcpus AS t_vcpus, t.memory_mb AS t_memory_mb,
    t.created_at AS t_created_at"""
"""Of a table called `t`."""

_VISIBLE = "t.deleted_at IS NULL AND t.team_id = ANY($1::uuid[])"


def template_of(row: Row) -> Template:
    """The template in a row with `TEMPLATE_COLUMNS`."""
    return Template(
        id=row["t_id"],
        team_id=row["t_team_id"],
        name=row["t_name"],
        description=row["t_description"],
        type=TemplateType(row["t_type"]),
        disk_size_mb=row["t_disk_size_mb"],
        vcpus=row["t_vcpus"],
        memory_mb=row["t_memory_mb"],
        created_at=row["t_created_at"],
    )


async def get(database: Database, team_id: UUID, template_id: UUID) -> Template | None:
    """A template that this team may use."""
    row = await database.row(
        f"SELECT {TEMPLATE_COLUMNS} FROM templates t WHERE {_VISIBLE} AND t.id = $2", _teams(team_id), template_id
    )
    return None if row is None else template_of(row)


async def get_by_name(database: Database, team_id: UUID, name: str) -> Template | None:
    """The team's template of this name, else the platform's."""
    row = await database.row(
        f"""SELECT {TEMPLATE_COLUMNS} FROM templates t WHERE {_VISIBLE} AND t.name = $2
        ORDER BY t.team_id = $3 DESC LIMIT 1""",
        _teams(team_id),
        name,
        team_id,
    )
    return None if row is None else template_of(row)


async def page(database: Database, team_id: UUID, criteria: TemplateFilter, request: PageRequest) -> Page[Template]:
    """Templates that this team may use, oldest first."""
    cursor = request.before if request.backwards else request.after
    rows = await database.rows(
        f"""SELECT {TEMPLATE_COLUMNS} FROM templates t
        WHERE {_VISIBLE} AND {_CRITERIA}
          AND ($4::uuid IS NULL OR CASE WHEN $5 THEN t.id < $4 ELSE t.id > $4 END)
        ORDER BY CASE WHEN $5 THEN t.id END DESC, CASE WHEN NOT $5 THEN t.id END LIMIT $6""",
        _teams(team_id),
        criteria.type,
        criteria.name,
        cursor,
        request.backwards,
        request.size + 1,
    )
    return page_of(tuple(template_of(row) for row in rows), request)


async def count(database: Database, team_id: UUID, criteria: TemplateFilter) -> int:
    """How many of the templates that this team may use match."""
    row = await database.row(
        f"SELECT count(*) FROM templates t WHERE {_VISIBLE} AND {_CRITERIA}",
        _teams(team_id),
        criteria.type,
        criteria.name,
    )
    return 0 if row is None else int(row[0])


_CRITERIA = "($2::text IS NULL OR t.type = $2) AND ($3::text IS NULL OR t.name = $3)"


def _teams(team_id: UUID) -> list[UUID]:
    return [team_id, PLATFORM_TEAM_ID]

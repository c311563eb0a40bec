"""Templates in SQL."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from collections.abc import Collection
from uuid import UUID

from api.db.database import Database, Row
from api.domain.page import Page, PageRequest, page_of
from api.domain.template import Template, TemplateFilter, TemplateHost, TemplateState, TemplateType
from api.ids import PLATFORM_TEAM_ID

TEMPLATE_COLUMNS = """t.id AS t_id, t.team_id AS t_team_id, t.name AS t_name, t.description AS t_description,
    t.type AS t_type, t.state AS t_state, t.disk_size_mb AS t_disk_size_mb, t.vcpus AS t_vcpus,
    t.memory_mb AS t_memory_mb, t.stored_bytes AS t_stored_bytes, t.source_sandbox_id AS t_source_sandbox_id,
    t.created_by AS t_created_by, t.created_at AS t_created_at"""
"""Of a table called `t`."""

IS_STOOD_ON = """(
    EXISTS (SELECT FROM sandboxes s WHERE s.template_id = t.id AND s.stands_on_template)
    -- a sandbox that was deleted while a template was being made of it: its disk is still read
    OR EXISTS (SELECT FROM operations o JOIN sandboxes s ON s.id = o.sandbox_id
        WHERE o.state = 'running' AND o.kind = 'create_template' AND s.template_id = t.id))"""
"""Whether a table called `t` is a template that may not be removed."""
_IN_USE = f"{IS_STOOD_ON} AS in_use"
_VISIBLE = "t.state = 'ready' AND t.team_id = ANY($1::uuid[])"


def template_of(row: Row) -> Template:
    """The template in a row with `TEMPLATE_COLUMNS`."""
    return Template(
        id=row["t_id"],
        team_id=row["t_team_id"],
        name=row["t_name"],
        description=row["t_description"],
        type=TemplateType(row["t_type"]),
        state=TemplateState(row["t_state"]),
        disk_size_mb=row["t_disk_size_mb"],
        vcpus=row["t_vcpus"],
        memory_mb=row["t_memory_mb"],
        stored_bytes=row["t_stored_bytes"],
        source_sandbox_id=row["t_source_sandbox_id"],
        created_by=row["t_created_by"],
        created_at=row["t_created_at"],
        in_use=row.get("in_use"),
    )


async def get(database: Database, team_id: UUID, template_id: UUID) -> Template | None:
    """A template that this team may use."""
    row = await database.row(
        f"SELECT {TEMPLATE_COLUMNS}, {_IN_USE} FROM templates t WHERE {_VISIBLE} AND t.id = $2",
        _teams(team_id),
        template_id,
    )
    return None if row is None else template_of(row)


async def get_by_name(database: Database, team_id: UUID, name: str) -> Template | None:
    """The team's template of this name, else the platform's."""
    row = await database.row(
        f"""SELECT {TEMPLATE_COLUMNS}, {_IN_USE} FROM templates t WHERE {_VISIBLE} AND t.name = $2
        ORDER BY t.team_id = $3 DESC LIMIT 1""",
        _teams(team_id),
        name,
        team_id,
    )
    return None if row is None else template_of(row)


async def load(database: Database, template_id: UUID) -> Template | None:
    """A template of whatever team and state: for what goes to hosts."""
    row = await database.row(f"SELECT {TEMPLATE_COLUMNS} FROM templates t WHERE t.id = $1", template_id)
    return None if row is None else template_of(row)


async def get_many(database: Database, team_id: UUID | None, template_ids: Collection[UUID]) -> dict[UUID, Template]:
    """Those of them that this team may use, or, for None, that any team may."""
    rows = await database.rows(
        f"""SELECT {TEMPLATE_COLUMNS}, {_IN_USE} FROM templates t
        WHERE t.state = 'ready' AND ($1::uuid[] IS NULL OR t.team_id = ANY($1)) AND t.id = ANY($2::uuid[])""",
        _teams(team_id),
        list(template_ids),
    )
    return {row["t_id"]: template_of(row) for row in rows}


async def in_use(database: Database, template_ids: Collection[UUID]) -> frozenset[UUID]:
    """Those of them that sandboxes stand on."""
    rows = await database.rows(
        f"SELECT id FROM (SELECT t.id, {_IN_USE} FROM templates t WHERE t.id = ANY($1::uuid[])) x WHERE in_use",
        list(template_ids),
    )
    return frozenset(row["id"] for row in rows)


async def page(
    database: Database, team_id: UUID | None, criteria: TemplateFilter, request: PageRequest
) -> Page[Template]:
    """Templates that this team may use, or, for None, those of all teams, oldest first."""
    cursor = request.before if request.backwards else request.after
    rows = await database.rows(
        f"""SELECT {TEMPLATE_COLUMNS}, {_IN_USE} FROM templates t
        WHERE {_LISTED} AND ($4::uuid IS NULL OR CASE WHEN $5 THEN t.id < $4 ELSE t.id > $4 END)
        ORDER BY CASE WHEN $5 THEN t.id END DESC, CASE WHEN NOT $5 THEN t.id END LIMIT $6""",
        _teams(team_id),
        criteria.type,
        criteria.name,
        cursor,
        request.backwards,
        request.size + 1,
    )
    return page_of(tuple(template_of(row) for row in rows), request)


async def count(database: Database, team_id: UUID | None, criteria: TemplateFilter) -> int:
    """How many of the templates that this team may use, or, for None, of all templates, match."""
    row = await database.row(
        f"SELECT count(*) FROM templates t WHERE {_LISTED}", _teams(team_id), criteria.type, criteria.name
    )
    return 0 if row is None else int(row[0])


async def hosts_of(database: Database, template_id: UUID) -> tuple[TemplateHost, ...]:
    """The hosts that hold a template, by name."""
    return (await hosts_of_many(database, [template_id])).get(template_id, ())


async def hosts_of_many(database: Database, template_ids: Collection[UUID]) -> dict[UUID, tuple[TemplateHost, ...]]:
    """The hosts that hold each of these templates, by name; nothing of one that none holds."""
    rows = await database.rows(
        """SELECT x.template_id, h.id, h.name, h.reachable, x.ready, x.stored_bytes FROM template_hosts x
        JOIN hosts h ON h.id = x.host_id WHERE x.template_id = ANY($1::uuid[]) ORDER BY h.name, h.id""",
        list(template_ids),
    )
    found: dict[UUID, tuple[TemplateHost, ...]] = {}
    for row in rows:
        holder = TemplateHost(row["id"], row["name"], row["reachable"], row["ready"], row["stored_bytes"])
        found[row["template_id"]] = (*found.get(row["template_id"], ()), holder)
    return found


_LISTED = """t.state = 'ready' AND ($1::uuid[] IS NULL OR t.team_id = ANY($1))
    AND ($2::text IS NULL OR t.type = $2) AND ($3::text IS NULL OR t.name = $3)"""


def _teams(team_id: UUID | None) -> list[UUID] | None:
    return None if team_id is None else [team_id, PLATFORM_TEAM_ID]

"""Teams in SQL."""

from uuid import UUID

from api.db.database import Row, Statements
from api.domain.page import Page, PageRequest, page_of
from api.domain.principal import Role
from api.domain.team import Team, TeamOfUser, TeamSummary
from api.ids import PLATFORM_TEAM_ID


async def get(database: Statements, team_id: UUID) -> Team | None:
    """A team."""
    row = await database.row("SELECT t.id, t.name, t.created_at FROM teams t WHERE t.id = $1", team_id)
    return None if row is None else _team(row)


async def of_user(database: Statements, user_id: UUID) -> tuple[TeamOfUser, ...]:
    """The teams that a person is in, the oldest membership first."""
    rows = await database.rows(
        """SELECT t.id, t.name, t.created_at, m.role FROM memberships m JOIN teams t ON t.id = m.team_id
        WHERE m.user_id = $1 ORDER BY m.id""",
        user_id,
    )
    return tuple(TeamOfUser(_team(row), Role(row["role"])) for row in rows)


async def insert(database: Statements, team: Team) -> None:
    """Keeps a new team, without members."""
    await database.execute(
        "INSERT INTO teams (id, name, created_at) VALUES ($1, $2, $3)", team.id, team.name, team.created_at
    )


async def lock(database: Statements, team_id: UUID) -> Team | None:
    """A team whose members nobody else changes until the end of the transaction. What else refers to it goes on."""
    row = await database.row(
        "SELECT t.id, t.name, t.created_at FROM teams t WHERE t.id = $1 FOR NO KEY UPDATE", team_id
    )
    return None if row is None else _team(row)


async def lock_user(database: Statements, user_id: UUID) -> bool:
    """Whether there is such a person, who is not deactivated; their teams do not change until the end of the
    transaction."""
    row = await database.row("SELECT id FROM users WHERE id = $1 AND deactivated_at IS NULL FOR NO KEY UPDATE", user_id)
    return row is not None


async def page(database: Statements, request: PageRequest) -> Page[TeamSummary]:
    """All teams but the platform's own, the oldest first."""
    cursor = request.before if request.backwards else request.after
    rows = await database.rows(
        """SELECT t.id, t.name, t.created_at,
            (SELECT count(*) FROM memberships m WHERE m.team_id = t.id) AS member_count,
            (SELECT count(*) FROM sandboxes s WHERE s.team_id = t.id AND s.state <> 'deleted') AS sandbox_count
        FROM teams t WHERE t.id <> $1 AND ($2::uuid IS NULL OR CASE WHEN $3 THEN t.id < $2 ELSE t.id > $2 END)
        ORDER BY CASE WHEN $3 THEN t.id END DESC, CASE WHEN NOT $3 THEN t.id END LIMIT $4""",
        PLATFORM_TEAM_ID,
        cursor,
        request.backwards,
        request.size + 1,
    )
    found = tuple(TeamSummary(_team(row), row["member_count"], row["sandbox_count"]) for row in rows)
    return page_of(found, request)


async def count(database: Statements) -> int:
    """How many teams there are, without the platform's own."""
    row = await database.row("SELECT count(*) FROM teams WHERE id <> $1", PLATFORM_TEAM_ID)
    return 0 if row is None else int(row[0])


def _team(row: Row) -> Team:
    return Team(row["id"], row["name"], row["created_at"])

"""Who is in which team, in SQL. What changes a team's members holds its lock (`teams.lock`)."""

from datetime import datetime
from uuid import UUID

from api.db.database import Row, Statements
from api.domain.page import Page, PageRequest, page_of
from api.domain.principal import Role
from api.domain.team import Member
from api.ids import new_id

_MEMBER = """SELECT m.id AS membership_id, u.id AS user_id, u.email, u.name, m.role, m.created_at AS joined_at,
    u.deactivated_at FROM memberships m JOIN users u ON u.id = m.user_id"""


async def get(database: Statements, team_id: UUID, user_id: UUID) -> Member | None:
    """A person in a team."""
    row = await database.row(f"{_MEMBER} WHERE m.team_id = $1 AND m.user_id = $2", team_id, user_id)
    return None if row is None else _member(row)


async def page(database: Statements, team_id: UUID, request: PageRequest) -> Page[Member]:
    """The members of a team, in the order in which they joined."""
    cursor = request.before if request.backwards else request.after
    rows = await database.rows(
        f"""{_MEMBER} WHERE m.team_id = $1
            AND ($2::uuid IS NULL OR CASE WHEN $3 THEN m.id < $2 ELSE m.id > $2 END)
        ORDER BY CASE WHEN $3 THEN m.id END DESC, CASE WHEN NOT $3 THEN m.id END LIMIT $4""",
        team_id,
        cursor,
        request.backwards,
        request.size + 1,
    )
    return page_of(tuple(_member(row) for row in rows), request)


async def count(database: Statements, team_id: UUID) -> int:
    """How many members a team has."""
    row = await database.row("SELECT count(*) FROM memberships WHERE team_id = $1", team_id)
    return 0 if row is None else int(row[0])


async def count_active_owners(database: Statements, team_id: UUID, *, but: UUID) -> int:
    """How many owners a team has who can sign in, without one person."""
    row = await database.row(
        """SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id
        WHERE m.team_id = $1 AND m.role = 'owner' AND u.deactivated_at IS NULL AND m.user_id <> $2""",
        team_id,
        but,
    )
    return 0 if row is None else int(row[0])


async def insert(database: Statements, team_id: UUID, user_id: UUID, role: Role, now: datetime) -> None:
    """Makes somebody a member. Raises: Conflict, `ALREADY_MEMBER`."""
    await database.execute(
        "INSERT INTO memberships (id, team_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)",
        new_id(),
        team_id,
        user_id,
        role,
        now,
    )


async def set_role(database: Statements, team_id: UUID, user_id: UUID, role: Role) -> None:
    """Gives a member another role."""
    await database.execute(
        "UPDATE memberships SET role = $3 WHERE team_id = $1 AND user_id = $2", team_id, user_id, role
    )


async def delete(database: Statements, team_id: UUID, user_id: UUID) -> None:
    """Takes somebody out of a team."""
    await database.execute("DELETE FROM memberships WHERE team_id = $1 AND user_id = $2", team_id, user_id)


def _member(row: Row) -> Member:
    return Member(**{**row, "role": Role(row["role"])})

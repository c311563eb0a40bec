"""Sandboxes that are not as their users want them, in SQL."""

from collections.abc import Mapping, Sequence

from api.db.database import Database
from api.domain.drift import Drift
from api.domain.sandbox import Cause, Goal, State


async def read(database: Database, as_wanted: Mapping[Goal, State], states: Sequence[State], limit: int) -> list[Drift]:
    """Those in one of `states` that is not the one that their goal asks for, the longest lasting first."""
    rows = await database.rows(
        """SELECT s.id, s.team_id, s.goal, s.state, s.cause, s.updated_at FROM sandboxes s
        JOIN unnest($1::text[], $2::text[]) AS w (goal, state) ON w.goal = s.goal
        WHERE s.state = ANY($3::text[]) AND s.state <> w.state ORDER BY s.updated_at, s.id LIMIT $4""",
        [str(goal) for goal in as_wanted],
        [str(state) for state in as_wanted.values()],
        [str(state) for state in states],
        limit,
    )
    return [
        Drift(row["id"], row["team_id"], Goal(row["goal"]), State(row["state"]), Cause(row["cause"]), row["updated_at"])
        for row in rows
    ]

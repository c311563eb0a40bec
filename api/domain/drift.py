"""Sandboxes that are not as their users want them, though nothing is under way that would change it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.domain.sandbox import TERMINAL, TRANSITIONAL, Cause, Goal, State

AS_WANTED = {
    Goal.RUNNING: State.RUNNING,
    Goal.PAUSED: State.PAUSED,
    Goal.STOPPED: State.STOPPED,
    Goal.GONE: State.DELETED,
}
"""By goal: the state that it asks for."""

LASTING = tuple(sorted(frozenset(State) - TRANSITIONAL - TERMINAL))
"""States in which a sandbox stays until somebody does something."""

DRIFT_MAX = 1000


@dataclass(frozen=True, slots=True)
class Drift:
    """One of them: what is wanted, what it is, why, and since when."""

    sandbox_id: UUID
    team_id: UUID
    goal: Goal
    state: State
    cause: Cause
    since: datetime

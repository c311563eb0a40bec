"""What tasks and checks say of themselves to admins and to `/readyz`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """One repeated task: how often it ran, how often that failed, and a sentence about the last time."""

    name: str
    last_run_at: datetime | None
    last_success_at: datetime | None
    runs: int
    failures: int
    summary: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must work for requests to be served."""

    name: str
    ok: bool
    detail: str

"""Who did what to what: lines of the audit log."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.domain.text import check_text

OK = "OK"
"""The result of what was done, or, of a command to a host, accepted: its operation says how it ended."""
CANCELLED = "CANCELLED"
"""The result of what was broken off, its caller having gone or been shut out."""
ANONYMOUS = "anonymous"
"""The actor of somebody who has not proved who they are."""
FILTER_BYTES_MAX = 100


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line. `actor` is as `Principal.actor` names it, or `host-…` or `anonymous`; `target` is a wire id or empty;
    `result` is `OK` or the code of an error. `team_id` is None for what happened in no team."""

    id: UUID
    at: datetime
    team_id: UUID | None
    actor: str
    action: str
    target: str
    result: str
    request_id: str
    address: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines: those that are equal in everything that is given. `refused` asks for results that are not `OK`, or
    for those that are."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    refused: bool | None = None


@dataclass(frozen=True, slots=True)
class Keeping:
    """What keeps the log as it was written. `role` is who this program is to the database; `weakness` says why that
    role could change the log in spite of its triggers (`owns the tables`), and is empty when it could not."""

    role: str
    weakness: str


def check_audit_filter(criteria: AuditFilter) -> AuditFilter:
    """The filter, if a database can be asked for it. Raises: Invalid."""
    for name in ("actor", "action", "target"):
        value = getattr(criteria, name)
        if value is not None:
            check_text(value, f"The {name}", max_bytes=FILTER_BYTES_MAX, path=("filter", name))
    return criteria

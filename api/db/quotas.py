"""What teams may have, and what they have, in SQL."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

from collections.abc import Collection
from dataclasses import astuple, fields
from datetime import datetime
from uuid import UUID

from api.db.database import Row, Statements
from api.db.sandboxes import HAS_DISK, has_machine
from api.domain.quota import Amounts, Limits, Quota, Resource
from api.domain.sandbox import HOLDS_CAPACITY
from api.domain.template import TemplateState

_NAMES = tuple(field.name for field in fields(Limits))
_LIMITS = ", ".join(f"q.{name} AS limit_{name}" for name in _NAMES)
_KEPT = (TemplateState.CREATING, TemplateState.READY)

_HAS_MACHINE = has_machine("$2")
_HAS_SAVED_MEMORY = "state IN ('paused', 'resuming') OR (state = 'snapshotting' AND goal = 'paused')"

_OF_TEAMS = f"""SELECT t.id, {_LIMITS}, s.*, x.*, o.* FROM teams t LEFT JOIN team_quotas q ON q.team_id = t.id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE {HAS_DISK}) AS sandboxes,
        coalesce(sum(vcpus) FILTER (WHERE {_HAS_MACHINE}), 0)::bigint AS vcpus,
        coalesce(sum(memory_mb) FILTER (WHERE {_HAS_MACHINE}), 0)::bigint AS memory_mb,
        (coalesce(sum(disk_size_mb) FILTER (WHERE {HAS_DISK}), 0)
            + coalesce(sum(memory_mb) FILTER (WHERE {_HAS_SAVED_MEMORY}), 0))::bigint AS sandbox_disk_mb,
        count(*) FILTER (WHERE state = 'pending' AND fork_id IS NOT NULL) AS waiting_children
    FROM sandboxes WHERE team_id = t.id AND state <> 'deleted'
) s CROSS JOIN LATERAL (
    SELECT count(*) AS templates, coalesce(sum(disk_size_mb + coalesce(memory_mb, 0)), 0)::bigint AS template_disk_mb
    FROM templates WHERE team_id = t.id AND state = ANY($3::text[])
) x CROSS JOIN LATERAL (
    SELECT count(*) AS operations FROM operations WHERE team_id = t.id AND state = 'running'
) o WHERE t.id = ANY($1::uuid[])"""

_SET = f"""INSERT INTO team_quotas (team_id, updated_at, {", ".join(_NAMES)})
VALUES ($1, $2, {", ".join(f"${number}" for number in range(3, 3 + len(_NAMES)))})
ON CONFLICT (team_id) DO UPDATE SET updated_at = excluded.updated_at,
    {", ".join(f"{name} = excluded.{name}" for name in _NAMES)}"""


async def limits(database: Statements, team_id: UUID) -> Limits:
    """What was set for a team; None wherever the defaults hold."""
    row = await database.row(f"SELECT {_LIMITS} FROM team_quotas q WHERE q.team_id = $1", team_id)
    return Limits() if row is None else _limits(row)


async def of_teams(database: Statements, team_ids: Collection[UUID]) -> dict[UUID, Quota]:
    """What was set for these teams, as `own` and as `limits`, and the sums over their rows as they are now."""
    rows = await database.rows(_OF_TEAMS, list(team_ids), sorted(HOLDS_CAPACITY), [state.value for state in _KEPT])
    return {row["id"]: Quota(_limits(row), _used(row), _limits(row)) for row in rows}


async def set_limits(database: Statements, team_id: UUID, wanted: Limits, now: datetime) -> None:
    """Sets all limits of a team anew."""
    await database.execute(_SET, team_id, now, *astuple(wanted))


def _limits(row: Row) -> Limits:
    return Limits(**{name: row[f"limit_{name}"] for name in _NAMES})


def _used(row: Row) -> Amounts:
    return {
        Resource.SANDBOXES: row["sandboxes"],
        Resource.VCPUS: row["vcpus"],
        Resource.MEMORY_MB: row["memory_mb"],
        Resource.DISK_MB: row["sandbox_disk_mb"] + row["template_disk_mb"],
        Resource.TEMPLATES: row["templates"],
        Resource.OPERATIONS: row["operations"] + row["waiting_children"],
    }

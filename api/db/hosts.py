"""Hosts in SQL."""
# ruff: noqa: S608 - the statements are put together from constants; values are always parameters

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.db.database import Database, Row, Statements
from api.db.events import insert_events
from api.db.sandboxes import HAS_DISK
from api.domain.host import Host, HostFacts, Isolation, Pool, Registration

_COLUMNS = (
    """h.*, (SELECT count(*) FROM sandboxes s WHERE s.host_id = h.id AND s.state <> 'deleted') AS sandbox_count"""
)

_SEEN = """INSERT INTO hosts (id, name, address, agent_incarnation, agent_version, driver, isolation, accelerator,
    qemu_version, cpu_count, memory_total_mb, memory_free_mb, disk_total_mb, disk_free_mb, shortcomings, created_at,
    last_seen_at, certificate_expires_at, pools)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::jsonb, $16, $16, $17, $18::jsonb)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, address = excluded.address,
    agent_incarnation = excluded.agent_incarnation, agent_version = excluded.agent_version, driver = excluded.driver,
    isolation = excluded.isolation, accelerator = excluded.accelerator, qemu_version = excluded.qemu_version,
    cpu_count = excluded.cpu_count, memory_total_mb = excluded.memory_total_mb,
    memory_free_mb = excluded.memory_free_mb, disk_total_mb = excluded.disk_total_mb,
    disk_free_mb = excluded.disk_free_mb, shortcomings = excluded.shortcomings, last_seen_at = excluded.last_seen_at,
    certificate_expires_at = excluded.certificate_expires_at, pools = excluded.pools
-- where a host that has joined is reached, only its joining says
WHERE CASE WHEN hosts.registered_at IS NULL THEN NOT $19::boolean
    ELSE $19 AND hosts.address = excluded.address AND hosts.removed_at IS NULL END"""

_REACHABLE = f"""WITH host AS (
    UPDATE hosts SET reachable = $2 WHERE id = $1 AND reachable <> $2 AND NOT ($2 AND removed_at IS NOT NULL)
    RETURNING id
), moved AS (
    -- subscribers see another state, so the version grows, though nothing of the sandbox itself has changed
    UPDATE sandboxes s SET version = s.version + 1 FROM host
    WHERE s.host_id = host.id AND s.state <> 'deleted'
    RETURNING s.*, s.state AS state_before, s.goal AS goal_before, s.generation AS generation_before
), logged AS ({
    insert_events(
        kind="CASE WHEN $2 THEN 'sandbox.reachable' ELSE 'sandbox.unreachable' END",
        actor="'system'",
        source="moved s",
        at="$3",
    )
})
SELECT count(*) FROM host"""


async def seen(database: Database, address: str, facts: HostFacts, now: datetime, *, by_certificate: bool) -> bool:
    """Keeps what an agent says of its computer, and that it answered. `by_certificate`: that is how it has proved which
    host it is. False, and nothing is written: the host has joined, and is to be reached by certificate only, or at
    another address, or was removed."""
    changed = await database.execute(
        _SEEN,
        facts.host_id,
        facts.name,
        address,
        facts.agent_incarnation,
        facts.agent_version,
        facts.driver,
        facts.isolation,
        facts.accelerator,
        facts.qemu_version,
        facts.cpu_count,
        facts.memory_total_mb,
        facts.memory_free_mb,
        facts.disk_total_mb,
        facts.disk_free_mb,
        json.dumps(facts.shortcomings),
        now,
        facts.certificate_expires_at,
        json.dumps([{**asdict(pool), "template_id": _text(pool.template_id)} for pool in facts.pools]),
        by_certificate,
    )
    return changed > 0


async def set_reachable(database: Statements, host_id: UUID, now: datetime, *, reachable: bool) -> bool:
    """Writes down whether a host answers, and an event for each of its sandboxes; False if it was known already, or the
    host was removed and is said to answer."""
    row = await database.row(_REACHABLE, host_id, reachable, now)
    return row is not None and row[0] > 0


async def join(database: Statements, joining: Registration, now: datetime, certificate_expires_at: datetime) -> bool:
    """Writes a host that has joined for the first time; False, and nothing is written, if there is a host of its id."""
    changed = await database.execute(
        """INSERT INTO hosts (id, name, address, cpu_count, created_at, registered_at, certificate_expires_at)
        VALUES ($1, $2, $3, 0, $4, $4, $5) ON CONFLICT (id) DO NOTHING""",
        joining.host_id,
        joining.name,
        joining.address,
        now,
        certificate_expires_at,
    )
    return changed > 0


async def join_again(
    database: Statements, joining: Registration, now: datetime, certificate_expires_at: datetime
) -> None:
    """Writes that a host that there is has joined, and where it is reached from now on, also if it was removed."""
    await database.execute(
        """UPDATE hosts SET address = $2, registered_at = $3, certificate_expires_at = $4, removed_at = NULL
        WHERE id = $1""",
        joining.host_id,
        joining.address,
        now,
        certificate_expires_at,
    )


async def is_known(database: Statements, host_id: UUID) -> bool:
    """Whether there is, or was, such a host."""
    return await database.row("SELECT FROM hosts WHERE id = $1", host_id) is not None


async def remove(database: Statements, host_id: UUID, now: datetime) -> bool:
    """Writes that a host that has joined is removed; False, and nothing is written, if there is no such one. May be
    repeated."""
    changed = await database.execute(
        "UPDATE hosts SET removed_at = coalesce(removed_at, $2) WHERE id = $1 AND registered_at IS NOT NULL",
        host_id,
        now,
    )
    return changed > 0


async def registered(database: Database) -> list[tuple[UUID, str]]:
    """The hosts that have joined and were not removed, and where each can be reached."""
    rows = await database.rows(
        "SELECT id, address FROM hosts WHERE registered_at IS NOT NULL AND removed_at IS NULL ORDER BY id"
    )
    return [(row["id"], row["address"]) for row in rows]


async def removed(database: Database) -> list[UUID]:
    """The hosts that were removed, and have not joined again."""
    return [row["id"] for row in await database.rows("SELECT id FROM hosts WHERE removed_at IS NOT NULL ORDER BY id")]


async def has_joined(database: Database, host_id: UUID) -> bool:
    """Whether it is a host that has joined, removed or not, and is called by its certificate only."""
    row = await database.row("SELECT FROM hosts WHERE id = $1 AND registered_at IS NOT NULL", host_id)
    return row is not None


async def all_hosts(database: Database) -> tuple[Host, ...]:
    """Every host, by name."""
    return tuple(_host_of(row) for row in await database.rows(f"SELECT {_COLUMNS} FROM hosts h ORDER BY name, id"))


async def get(database: Database, host_id: UUID) -> Host | None:
    """One host."""
    row = await database.row(f"SELECT {_COLUMNS} FROM hosts h WHERE id = $1", host_id)
    return None if row is None else _host_of(row)


async def by_address(database: Database, address: str) -> UUID | None:
    """The host that answered last at an address."""
    row = await database.row(
        "SELECT id FROM hosts WHERE address = $1 ORDER BY last_seen_at DESC NULLS LAST LIMIT 1", address
    )
    return None if row is None else row["id"]


async def count_reachable(database: Database, host_ids: Collection[UUID]) -> int:
    """How many of these hosts answer."""
    row = await database.row("SELECT count(*) FROM hosts WHERE reachable AND id = ANY($1::uuid[])", list(host_ids))
    return 0 if row is None else int(row[0])


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host that answers: what it has for a new sandbox of one team and template, as it last said."""

    isolation: Isolation
    memory_total_mb: int
    has_template: bool
    """Complete, of a template that is not a base template; those, every host has or makes."""
    serves_others: bool
    """Whether another team has sandboxes there."""


async def candidates(
    database: Statements, team_id: UUID, template_id: UUID, host_ids: Collection[UUID]
) -> tuple[Candidate, ...]:
    """Those of these hosts that answer."""
    rows = await database.rows(
        f"""SELECT h.isolation, h.memory_total_mb,
            EXISTS (SELECT FROM template_hosts x WHERE x.template_id = $2 AND x.host_id = h.id AND x.ready)
                AS has_template,
            EXISTS (SELECT FROM sandboxes WHERE host_id = h.id AND team_id <> $1 AND {HAS_DISK}) AS serves_others
        FROM hosts h WHERE h.reachable AND h.id = ANY($3::uuid[])""",
        team_id,
        template_id,
        list(host_ids),
    )
    return tuple(
        Candidate(
            Isolation(row["isolation"] or Isolation.NONE),
            row["memory_total_mb"],
            row["has_template"],
            row["serves_others"],
        )
        for row in rows
    )


def _text(template_id: UUID | None) -> str | None:
    return None if template_id is None else str(template_id)


def _pool_of(written: dict[str, Any]) -> Pool:
    template_id = written["template_id"]
    return Pool(**{**written, "template_id": None if template_id is None else UUID(template_id)})


def _host_of(row: Row) -> Host:
    return Host(
        id=row["id"],
        name=row["name"],
        address=row["address"],
        reachable=row["reachable"],
        agent_version=row["agent_version"],
        driver=row["driver"],
        isolation=Isolation(row["isolation"] or Isolation.NONE),
        accelerator=row["accelerator"],
        qemu_version=row["qemu_version"],
        cpu_count=row["cpu_count"],
        memory_total_mb=row["memory_total_mb"],
        memory_free_mb=row["memory_free_mb"],
        disk_total_mb=row["disk_total_mb"],
        disk_free_mb=row["disk_free_mb"],
        shortcomings=tuple(json.loads(row["shortcomings"])),
        last_seen_at=row["last_seen_at"],
        registered_at=row["registered_at"],
        certificate_expires_at=row["certificate_expires_at"],
        removed_at=row["removed_at"],
        pools=tuple(map(_pool_of, json.loads(row["pools"]))),
        sandbox_count=row["sandbox_count"],
    )

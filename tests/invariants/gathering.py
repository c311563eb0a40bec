"""Gathering evidence: from PostgreSQL, from agents, and from their data directories behind their backs."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import grpc.aio

from agent.errors import Code
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import Cause, Goal, State
from api.domain.template import TemplateState
from api.hosts.convert import template_of
from nestbox.demo.processes import machine_processes
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import Client, code_of, state_of, uuid_of
from tests.invariants.evidence import (
    Event,
    Evidence,
    HeldTemplate,
    Kept,
    Machine,
    Operation,
    Promises,
    Sandbox,
    Template,
)

Keeps = Callable[[UUID, Path], list[Kept]]
"""Finds what lies and runs on a host below its data directory."""


async def gather(
    database: asyncpg.Connection,
    agents: Mapping[Path, Client],
    promises: Promises | None = None,
    *,
    keeps: Keeps | None = None,
    probe_stale: bool = False,
) -> Evidence:
    """Everything of one platform; `keeps` looks at a data directory, by default one with simulated machines.

    `agents` are clients by data directory, those that answer. `probe_stale` sends every host an older
    generation for each sandbox, which a sound one refuses.
    """
    sandboxes = await _sandboxes(database)
    machines: list[Machine] = []
    kept: list[Kept] = []
    running: dict[UUID, int] = {}
    held: list[HeldTemplate] = []
    obeyed: list[UUID] = []
    for data_dir, client in agents.items():
        host = await client.stub.GetHost(pb.GetHostRequest(), metadata=client.metadata)
        host_id = _bare(host.host_id)
        running[host_id] = host.machines_running
        machines += [machine_of(host_id, machine) for machine in (await client.inventory()).values()]
        held += [
            HeldTemplate(host_id, template.template_id, template.state)
            for template in map(template_of, (await client.templates()).values())
        ]
        kept += (keeps or simulated_kept)(host_id, data_dir)
        if probe_stale:
            obeyed += await _obeyed_stale(client, [row for row in sandboxes if row.host_id == host_id])
    return Evidence(
        sandboxes=sandboxes,
        operations=await _operations(database),
        events=await _events(database),
        machines=tuple(machines),
        kept=tuple(kept),
        templates=await _templates(database),
        held_templates=tuple(held),
        machines_running=running,
        stale_obeyed=tuple(obeyed),
        promises=promises or Promises(),
    )


def machine_of(host_id: UUID, machine: pb.Machine) -> Machine:
    """A machine as its host tells it."""
    return Machine(
        host_id=host_id,
        sandbox_id=uuid_of(machine.sandbox_id),
        state=State(state_of(machine)),
        generation=machine.generation,
        sequence=machine.sequence,
        incarnation=UUID(machine.incarnation) if machine.incarnation else None,
    )


def simulated_kept(host_id: UUID, data_dir: Path) -> list[Kept]:
    """What the simulated driver has on disk, which is all that there is of its machines."""
    found = []
    for folder in sorted((data_dir / "simulated").iterdir()):
        if folder.name.startswith(("snapshot-", "template-", "unfinished-")):
            continue  # what hosts say of templates is compared by itself
        path = folder / "state.json"
        state = str(json.loads(path.read_text())["state"]) if path.exists() else ""
        live = () if state in {"", "paused", "stopped"} else (state,)
        disk = (folder / "disk").is_dir()
        found.append(Kept(host_id, UUID(folder.name), live=live, saved=state == "paused", has_disk=disk))
    return found


def real_kept(host_id: UUID, data_dir: Path) -> list[Kept]:
    """What QEMU's driver has on disk, and which QEMUs run; a process is one of a sandbox if an argument names it."""
    found = []
    for folder in sorted((data_dir / "machines").iterdir()):
        live = [pid for pid, program in machine_processes(folder.name).items() if program.startswith("qemu-system")]
        names = {path.name for path in folder.iterdir()}
        saved = any(name.startswith("pause-") for name in names)
        has_disk = any(name.startswith("overlay") for name in names)
        found.append(Kept(host_id, UUID(folder.name), tuple(map(str, live)), saved, has_disk))
    return found


async def _sandboxes(database: asyncpg.Connection) -> tuple[Sandbox, ...]:
    rows = await database.fetch("SELECT * FROM sandboxes ORDER BY id")
    return tuple(
        Sandbox(
            id=row["id"],
            team_id=row["team_id"],
            host_id=row["host_id"],
            state=State(row["state"]),
            goal=Goal(row["goal"]),
            cause=Cause(row["cause"]),
            generation=row["generation"],
            observed_generation=row["observed_generation"],
            sequence=row["sequence"],
            version=row["version"],
            incarnation=row["incarnation"],
            state_deadline_at=row["state_deadline_at"],
            template_id=row["template_id"],
            fork_id=row["fork_id"],
        )
        for row in rows
    )


async def _templates(database: asyncpg.Connection) -> tuple[Template, ...]:
    rows = await database.fetch(
        """SELECT t.id, t.state, array(SELECT x.host_id FROM template_hosts x WHERE x.template_id = t.id) AS hosts
        FROM templates t WHERE t.type = 'snapshot' ORDER BY t.id"""
    )
    return tuple(Template(row["id"], TemplateState(row["state"]), frozenset(row["hosts"])) for row in rows)


async def _operations(database: asyncpg.Connection) -> tuple[Operation, ...]:
    rows = await database.fetch("SELECT * FROM operations ORDER BY id")
    return tuple(
        Operation(
            id=row["id"],
            team_id=row["team_id"],
            sandbox_id=row["sandbox_id"],
            kind=OperationKind(row["kind"]),
            state=OperationState(row["state"]),
            generation=row["generation"],
            idempotency_key=row["idempotency_key"],
            error_code=row["error_code"],
            template_id=row["template_id"],
        )
        for row in rows
    )


async def _events(database: asyncpg.Connection) -> tuple[Event, ...]:
    # ids are taken under the lock of the sandbox's row, so they have the order of its changes
    rows = await database.fetch("SELECT * FROM events WHERE sandbox_id IS NOT NULL ORDER BY id")
    return tuple(
        Event(
            id=row["id"],
            sandbox_id=row["sandbox_id"],
            kind=row["kind"],
            actor=row["actor"],
            before=_json(row["before"]),
            after=_json(row["after"]),
            cause=None if row["cause"] is None else Cause(row["cause"]),
        )
        for row in rows
    )


async def _obeyed_stale(client: Client, rows: Collection[Sandbox]) -> list[UUID]:
    obeyed = []
    for row in rows:
        if row.state is State.DELETED or row.generation < 2 or row.observed_generation < row.generation:
            continue  # gone, or its host may not have heard of the newer one, and is then right to obey
        try:
            await client.pause(f"sb-{row.id}", row.generation - 1)
        except grpc.aio.AioRpcError as error:
            # a host that has forgotten what was deleted long ago knows nothing to be stale
            if code_of(error) in {Code.STALE_GENERATION, Code.NO_SUCH_MACHINE}:
                continue
        obeyed.append(row.id)
    return obeyed


def _json(text: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text) if isinstance(text, str) else text
    return found


def _bare(wire_id: str) -> UUID:
    return UUID(wire_id[-36:])

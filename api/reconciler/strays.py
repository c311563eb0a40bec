"""Machines that lie on a host without a row that wants them. Pure.

Only those are destroyed that this control plane had made itself, as the host has kept, and that have been without a row
for longer than a grace. A row is written before its host hears of it and is never removed, so there are such machines
only after the database, or the ledger of the host, went back to an older copy.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from api.domain.machine import Inventory, Machine
from api.domain.sandbox import State

STRAY_AFTER_SECONDS = 10.0
"""Two passes: no single look decides."""
STRAYS_MAX = 16
"""Destroyed at once, of one host: the others in later passes."""


class Written(NamedTuple):
    """A row that was found by the id of a machine, after the inventory was taken."""

    host_id: UUID | None
    state: State
    generation: int


class Stray(NamedTuple):
    """A machine to be destroyed, and a generation that is newer than all that its host knows."""

    sandbox_id: UUID
    generation: int


@dataclass(frozen=True, slots=True)
class Claims:
    """Which machines are ours, though no row of their host is theirs."""

    host_id: UUID
    cluster_id: UUID
    written: Mapping[UUID, Written]


def unclaimed(row_ids: Collection[UUID], inventory: Inventory) -> tuple[Machine, ...]:
    """Machines that are not among the rows of their host: to be looked up one by one."""
    return tuple(
        machine
        for machine in inventory.machines
        if machine.state is not State.DELETED and machine.sandbox_id not in row_ids
    )


def strays(machines: Collection[Machine], claims: Claims, ages: Mapping[UUID, float]) -> tuple[tuple[Stray, ...], int]:
    """Which of the unclaimed machines to destroy, and how many are left alone though no row of their host is theirs."""
    found: list[Stray] = []
    left_alone = 0
    for machine in machines:
        row = claims.written.get(machine.sandbox_id)
        if row is not None and row.state is not State.DELETED:
            # its row was written since, or is that of another host
            left_alone += row.host_id != claims.host_id
        elif machine.cluster_id != claims.cluster_id:
            left_alone += 1
        elif ages.get(machine.sandbox_id, 0.0) >= STRAY_AFTER_SECONDS:
            newest = machine.generation + 1
            found.append(Stray(machine.sandbox_id, newest if row is None else max(newest, row.generation)))
    return tuple(found[:STRAYS_MAX]), left_alone

"""Idle machines are paused, and everybody sees when: one pass every two seconds over all keepers.

It only ever pauses. What cannot be paused runs on and is tried again later (`agent/idle.py`).
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from agent.keeper import Keeper
from agent.ledger import Activity, LedgerError
from agent.parts import Parts

_log = structlog.get_logger(__name__)

PASS_SECONDS = 2.0

PAUSES_MAX = 4
"""Idle pauses at once: they wait for the disk, and what else the host does goes first."""

REPORTED_PART = 100
"""The shown moment of the pause follows the real one to this part of the timeout (1 s at least, 30 s at most), so that
a thousand busy sandboxes are not a thousand changes in every pass."""


class Reaper:
    """Made and run by the host."""

    def __init__(self, keepers: Mapping[UUID, Keeper], parts: Parts) -> None:
        self._keepers = keepers
        self._parts = parts

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.sweep()
            await asyncio.sleep(PASS_SECONDS)

    async def sweep(self) -> None:
        """One pass. The pauses that it begins belong to their keepers: nobody waits for them here."""
        keepers = tuple(self._keepers.values())
        if not self._parts.closed_to_new:
            turns = PAUSES_MAX - sum(keeper.pauses_idle for keeper in keepers)
            for keeper in keepers:
                turns -= turns > 0 and keeper.pause_if_idle()
        activities = [activity for keeper in keepers if (activity := self._activity(keeper)) is not None]
        if activities:
            try:
                await self._parts.ledger.report_activity(activities)
            except LedgerError as error:
                _log.warning("activity not written", error=str(error))

    def _activity(self, keeper: Keeper) -> Activity | None:
        """What is to be told of a machine; None if what was told last is near enough."""
        machine = self._parts.inventory.get(keeper.sandbox_id)
        if machine is None:
            return None
        at = keeper.lifecycle.auto_pause_at(machine)
        if not _differ(machine.auto_pause_at, at, machine.timeout_sec):
            return None
        return Activity(machine.sandbox_id, machine.last_active_at, at)


def _differ(shown: datetime | None, at: datetime | None, timeout_sec: int) -> bool:
    if shown is None or at is None:
        return shown is not at
    return abs(at - shown) >= timedelta(seconds=min(max(timeout_sec / REPORTED_PART, 1.0), 30.0))

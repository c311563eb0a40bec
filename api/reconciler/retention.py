"""The event log and the audit log are kept for some days: what is older is removed, a batch at a time."""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog

from api.db import events
from api.db.events import BATCH_MAX
from api.db.locks import Locks
from api.domain.status import TaskStatus
from api.reconciler.status import TaskRecord
from api.services.services import Services

PASS_SECONDS = 600.0
LOCK = UUID(int=0x6E62_0003)
"""Held by the replica that removes; ids of hosts are random."""

_log = structlog.get_logger()


class RetentionTask:
    """One replica at a time does it; two would do no harm."""

    def __init__(self, services: Services, keep: timedelta, keep_audit: timedelta) -> None:
        """`keep`: how long a line of the event log is kept; `keep_audit`: one of the audit log, 30 days at least."""
        self._services = services
        self._keep = keep
        self._keep_audit = keep_audit
        self._record = TaskRecord("event retention", services.resources.clock)

    def status(self) -> TaskStatus:
        """How it is."""
        return self._record.status

    async def run(self, locks: Locks) -> None:
        """Runs until cancelled."""
        while True:
            with self._record.contained():
                await self._pass(locks)
            await asyncio.sleep(PASS_SECONDS)

    async def _pass(self, locks: Locks) -> None:
        if not await locks.try_hold(LOCK):
            self._record.succeeded("another replica does it")
            return
        resources = self._services.resources
        total = 0
        while removed := await events.prune(resources.database, resources.clock.now(), self._keep):
            total += removed
            if removed < BATCH_MAX:
                break
        if total:
            _log.info("events removed", count=total)
        removed_audit = await self._services.audit.prune(self._keep_audit)
        if removed_audit:
            _log.info("audit lines removed", count=removed_audit)
        self._record.succeeded(f"{total} removed, and {removed_audit} of the audit log")

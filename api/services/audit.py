"""The audit log: who did what to what, from where, and what came of it."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from api.clock import Clock
from api.db import audit, privileges
from api.db.audit import BATCH_MAX
from api.db.database import Database, Transaction
from api.domain.audit import ANONYMOUS, CANCELLED, OK, AuditFilter, AuditLine, Keeping, check_audit_filter
from api.domain.page import Page, PageRequest
from api.domain.principal import NO_TEAM_ID, Principal, Scope, require, require_platform_admin
from api.errors import Internal, NestboxError
from api.ids import is_wire_id, new_id
from api.services.tasks import Tasks

_COUNTED = frozenset({"WRONG_CREDENTIALS"})
"""The only refusals of strangers that leave a line: the throttle lets few of them through. Lines of anything else that
needs no account would be a way to fill the disk."""

_FOR_WANT_OF_RIGHTS = frozenset({"MISSING_SCOPE", "FORBIDDEN"})
REFUSAL_REPEATED_SECONDS = 60.0
"""How often a refusal that anybody can get without end is written, of one actor, action and code."""
REFUSALS_REMEMBERED_MAX = 10_000
"""Of the last minute, 300 bytes each: 3 MB. Beyond them the oldest is forgotten, and may be written again."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Deed:
    """What is being done now, and by whom. Nothing that a caller wrote is in it but ids, and the id of the request,
    which is the caller's if they gave one."""

    action: str
    actor: str
    team_id: UUID | None = None
    request_id: str = ""
    address: str = ""
    target: str = ""
    result: str = OK
    may_write: bool = True
    """Whether its actor may change anything in its team. Whatever is refused to others tells little."""
    written_in: Transaction | None = None

    @classmethod
    def of(cls, principal: Principal, action: str, *, request_id: str, address: str, target: str = "") -> "Deed":
        """A deed of a caller, in the team that it acts for."""
        may_write = Scope.WRITE in principal.scopes
        return cls(action, principal.actor, principal.team_id, request_id, address, target, may_write=may_write)

    def line(self, at: datetime, result: str) -> AuditLine:
        """The line that tells of it."""
        team_id = None if self.team_id == NO_TEAM_ID else self.team_id
        # what is no id may be anything, a secret too
        target = self.target if is_wire_id(self.target) else ""
        return AuditLine(
            new_id(), at, team_id, self.actor, self.action, target, result, self.request_id, self.address[:64]
        )


_now: ContextVar[Deed | None] = ContextVar("deed", default=None)


async def note(transaction: Transaction, at: datetime, target: str = "") -> None:
    """Writes the line of what is being done now in the transaction of its change, once; nothing outside of
    `Audit.doing`."""
    deed = _now.get()
    if deed is None or deed.written_in is not None:
        return
    deed.target = target or deed.target
    await audit.insert(transaction, deed.line(at, OK))
    deed.written_in = transaction


def now_doing() -> Deed | None:
    """What is being done now, to say more of it."""
    return _now.get()


class Audit:
    """Writes the log, and shows it to those who may see it."""

    def __init__(self, database: Database, clock: Clock, tasks: Tasks) -> None:
        self._database = database
        self._clock = clock
        self._tasks = tasks
        self._refused_at: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    @asynccontextmanager
    async def doing(self, deed: Deed) -> AsyncIterator[Deed]:
        """Around one deed, which leaves one line: in the transaction of its change if that notes it, else right after,
        with the code of what the body raises. A line that cannot be written then goes to the log of the server.

        Of the same refusals for want of rights, and of all that is done by who may only read, this replica writes one
        line a minute: lines stay for 30 days at least, and the weakest key could fill the disk with them.
        """
        token = _now.set(deed)
        try:
            yield deed
        except asyncio.CancelledError:
            # nothing can be awaited here any more
            if not _is_told(deed):
                self._tasks.command("audit", self._write_result(deed, CANCELLED))
            raise
        except Exception as error:
            code = error.code if isinstance(error, NestboxError) else Internal.default_code
            if not _is_told(deed) and (deed.actor != ANONYMOUS or code in _COUNTED):
                await self._write_result(deed, code)
            raise
        else:
            if not _is_told(deed):
                await self._write_result(deed, deed.result)
        finally:
            _now.reset(token)

    async def of_team(self, principal: Principal, criteria: AuditFilter, page: PageRequest) -> Page[AuditLine]:
        """What was done in the caller's team, the newest first. Raises: MissingScope for all but its admins."""
        require(principal, Scope.TEAM_ADMIN)
        return await audit.page(self._database, principal.team_id, check_audit_filter(criteria), page)

    async def of_all(self, principal: Principal, criteria: AuditFilter, page: PageRequest) -> Page[AuditLine]:
        """What was done on the platform, the newest first. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await audit.page(self._database, None, check_audit_filter(criteria), page)

    async def keeping(self) -> Keeping:
        """What keeps the log from this program itself. Raises: Unavailable."""
        return await privileges.keeping(self._database)

    async def prune(self, keep: timedelta) -> int:
        """Removes lines that are older than this, which is at least 30 days; how many."""
        before, total = self._clock.now() - keep, 0
        while removed := await audit.prune(self._database, before):
            total += removed
            if removed < BATCH_MAX:
                break
        return total

    async def _write_result(self, deed: Deed, result: str) -> None:
        is_cheap = result in _FOR_WANT_OF_RIGHTS or not deed.may_write
        if not is_cheap or self._is_new(deed.actor, deed.action, result):
            await self._write(deed, result)

    def _is_new(self, actor: str, action: str, code: str) -> bool:
        """Whether the same was not written within the last minute; it is then."""
        now, refusal = self._clock.monotonic(), (actor, action, code)
        while self._refused_at and now - next(iter(self._refused_at.values())) >= REFUSAL_REPEATED_SECONDS:
            self._refused_at.popitem(last=False)
        if refusal in self._refused_at:
            return False
        self._refused_at[refusal] = now
        if len(self._refused_at) > REFUSALS_REMEMBERED_MAX:
            self._refused_at.popitem(last=False)
        return True

    async def _write(self, deed: Deed, result: str) -> None:
        line = deed.line(self._clock.now(), result)
        try:
            await audit.insert_alone(self._database, line)
        except NestboxError as error:
            said = {"actor": line.actor, "action": line.action, "target": line.target, "result": result}
            _log.error("audit line lost", request_id=line.request_id, code=error.code, **said)


def _is_told(deed: Deed) -> bool:
    return deed.written_in is not None and deed.written_in.is_committed

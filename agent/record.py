"""What the ledger holds of one sandbox, and how it is changed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypedDict
from uuid import UUID

import structlog

from agent.drivers.driver import ProcessIdentity
from agent.errors import AgentError, Code
from agent.failure import is_cancelled
from agent.ledger import LedgerError
from agent.machine import MOVES, Cause, CommandKind, Machine, Spec, Stage, State
from agent.parts import Parts

_log = structlog.get_logger(__name__)

RECORD_RETRY_SECONDS = 1.0
"""Between attempts to record what happened while the ledger cannot be written."""


class Changes(TypedDict, total=False):
    """Fields of a `Machine`."""

    generation: int
    command: CommandKind
    state: State
    cause: Cause
    detail: str
    incarnation: UUID | None
    snapshot_id: UUID | None
    pid: int
    start_ticks: int
    timeout_sec: int
    cluster_id: UUID | None
    stages: tuple[Stage, ...]
    error_code: str
    error_message: str


def process_is(process: ProcessIdentity | None) -> Changes:
    """The process of the machine; None: there is none."""
    return Changes(pid=process.pid if process else 0, start_ticks=process.start_ticks if process else 0)


def answer_is(error: AgentError | None) -> Changes:
    """What the command was answered with; None: with success."""
    return Changes(error_code=error.code.value if error else "", error_message=error.message if error else "")


class Record:
    """One sandbox's entry in the ledger; the inventory holds the newest version."""

    def __init__(
        self,
        sandbox_id: UUID,
        parts: Parts,
        auto_pause_at: Callable[[Machine], datetime | None] = lambda _: None,
    ) -> None:
        """`auto_pause_at` says when a machine that is as given will be paused."""
        self._sandbox_id = sandbox_id
        self._parts = parts
        self._auto_pause_at = auto_pause_at
        self._tombstone: Machine | None = None

    @property
    def machine(self) -> Machine | None:
        """As it was last recorded; None if the sandbox is unknown here."""
        return self._parts.inventory.get(self._sandbox_id) or self._tombstone

    def known(self) -> Machine:
        """As it was last recorded. Raises: AgentError NO_SUCH_MACHINE."""
        if (machine := self.machine) is None:
            raise AgentError(Code.NO_SUCH_MACHINE, "This host has no such sandbox.")
        return machine

    async def load(self) -> None:
        """Looks in the ledger for a sandbox that the inventory no longer shows."""
        if self.machine is None:
            self._tombstone = await self._parts.ledger.find(self._sandbox_id)

    async def begin(self, spec: Spec, changes: Changes, *, durable: bool) -> None:
        """Makes the entry of a sandbox that was unknown. Raises: AgentError DISK_FULL: it is still unknown."""
        now = self._parts.now()
        first = Machine(spec, 0, CommandKind.CREATE, State.STARTING, Cause.USER, now, now)
        machine = replace(first, **changes)
        _require_move(None, machine.state)
        await self._write(machine, durable=durable)

    async def intend(self, changes: Changes, *, durable: bool) -> None:
        """Records what is about to be done. Raises: AgentError DISK_FULL: nothing is recorded, so do not do it."""
        await self._write(self._changed(changes), durable=durable)

    async def conclude(
        self, changes: Changes, *, durable: bool = True, before: Callable[[], None] = lambda: None
    ) -> None:
        """Records what happened. It cannot be made undone, so this is tried until the ledger takes it; nothing else is
        done with the sandbox meanwhile. `before` is called before each attempt, and may fail as the ledger may."""
        machine = self._changed(changes)
        while True:
            try:
                before()
                await self._write(machine, durable=durable)
                return
            except (AgentError, OSError):
                await asyncio.sleep(RECORD_RETRY_SECONDS)
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                # something below was cancelled, nobody cancelled this

    def _changed(self, changes: Changes) -> Machine:
        before = self.known()
        after = replace(before, **changes)
        if "state" in changes:
            _require_move(before.state, after.state)
            after = replace(after, changed_at=self._parts.now())
        return replace(after, auto_pause_at=self._auto_pause_at(after))

    async def _write(self, machine: Machine, *, durable: bool) -> None:
        try:
            await self._parts.ledger.write(machine, durable=durable)
        except LedgerError as error:
            _log.error(
                "the ledger cannot be written",
                sandbox_id=str(self._sandbox_id),
                state=machine.state.value,
                error=str(error),
            )
            message = "The host cannot write its ledger: its disk is probably full."
            raise AgentError(Code.DISK_FULL, message, detail=str(error)) from error


def _require_move(source: State | None, target: State) -> None:
    if source is not target and (source, target) not in MOVES:
        raise AgentError(Code.INTERNAL, f"A machine cannot go from {source} to {target}.")

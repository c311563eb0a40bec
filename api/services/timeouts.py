"""Idle timeouts of sandboxes: written first, then told to their hosts."""

from uuid import UUID

import structlog

from api.db import commands, sandboxes
from api.domain.machine import Machine
from api.domain.principal import Principal, Scope, require
from api.domain.sandbox import (
    UNREACHABLE,
    Action,
    Cause,
    Goal,
    Sandbox,
    State,
    accepted_in,
    check_timeout,
    shown_state,
)
from api.errors import Conflict, NestboxError
from api.hosts.errors import HostCallError
from api.ids import Kind, wire_id
from api.services.audit import note
from api.services.moves import Moves
from api.services.places import raise_refusal
from api.services.reports import Reports
from api.services.resources import Resources

_log = structlog.get_logger()


class Timeouts:
    """A timeout raises the generation of what runs: an idle pause that its host began before is then older, and its
    report says nothing. A host that could not be told at once is told by the reconciler."""

    def __init__(self, resources: Resources, reports_: Reports, moves: Moves) -> None:
        self._resources = resources
        self._database = resources.database
        self._reports = reports_
        self._moves = moves
        self._under_way: set[UUID] = set()

    async def set(self, principal: Principal, sandbox_id: UUID, timeout_sec: int) -> Sandbox:
        """Sets the timeout, which counts as use. A pause for idleness at the same time is undone. Of what does not run
        it is only noted, until it does.

        Raises:
            Invalid: the number. NotFound: no such sandbox. Conflict: nothing of it will run any more.
            Unavailable: its host does not answer.
        """
        require(principal, Scope.WRITE)
        check_timeout(timeout_sec)
        now = self._resources.clock.now()
        async with self._database.transaction() as transaction:
            sandbox = await commands.set_timeout(
                transaction,
                principal.team_id,
                sandbox_id,
                timeout_sec,
                actor=principal.actor,
                now=now,
                states=accepted_in(Action.SET_TIMEOUT),
            )
            if sandbox is not None:
                await note(transaction, now, wire_id(Kind.SANDBOX, sandbox_id))
        if sandbox is None:
            raise await self._why_not(principal, sandbox_id)
        self._resources.waker.wake()
        if _is_told(sandbox):
            # a caller that goes away does not take it along
            await self._resources.tasks.finish(f"set timeout {sandbox_id}", self._tell(sandbox))
        return await self._moves.get(principal, sandbox_id)

    async def tell(self, sandbox_id: UUID) -> None:
        """Tells a host again of the timeout of a sandbox that it does not know yet. Raises: Unavailable."""
        if sandbox_id in self._under_way:
            return
        found = await sandboxes.load(self._database, (sandbox_id,))
        if found and _is_told(found[0]):
            _log.info("timeout sent again", sandbox_id=str(sandbox_id))
            await self._tell(found[0])

    async def _tell(self, sandbox: Sandbox) -> None:
        if sandbox.host_id is None:
            return
        self._under_way.add(sandbox.id)
        try:
            self._resources.faults.reach("api.set_timeout.committed")
            client = self._resources.hosts.client(sandbox.host_id)
            machine = await client.set_timeout(sandbox.id, sandbox.generation, sandbox.timeout_sec)
            self._resources.faults.reach("api.set_timeout.called")
            await self._reports.take_in(sandbox.host_id, machine)
            self._resources.faults.reach("api.set_timeout.recorded")
            await self._undo_pause(sandbox, machine)
        except HostCallError as error:
            # the generations differ until it is told: the reconciler sees that
            _log.warning("timeout not told", sandbox_id=str(sandbox.id), code=error.error.code)
        except NestboxError as error:
            _log.warning("timeout not told", sandbox_id=str(sandbox.id), code=error.code)
        finally:
            self._under_way.discard(sandbox.id)

    async def _undo_pause(self, sandbox: Sandbox, machine: Machine) -> None:
        """The host had paused it before it heard, when it was running here."""
        if machine.state is not State.PAUSED or machine.cause is not Cause.IDLE_TIMEOUT:
            return
        if machine.generation > sandbox.generation:
            return
        await self._moves.by_system(sandbox.team_id, sandbox.id, Action.RESUME, Cause.AUTO_RESUME)

    async def _why_not(self, principal: Principal, sandbox_id: UUID) -> NestboxError:
        sandbox = await self._moves.get(principal, sandbox_id)
        raise_refusal(Action.SET_TIMEOUT, sandbox.state, reachable=shown_state(sandbox) != UNREACHABLE)
        return Conflict("The sandbox was changing just now; try again.", code="WRONG_STATE")


def _is_told(sandbox: Sandbox) -> bool:
    """Whether its host has a machine of it that is, or is thought to be, running."""
    return sandbox.state is State.RUNNING or (sandbox.state is State.PAUSING and sandbox.goal is Goal.RUNNING)

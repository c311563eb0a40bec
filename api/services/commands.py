"""Carrying out commands that were accepted: the call to the host, in a task of the server."""

from collections.abc import Callable
from uuid import UUID

import structlog

from api.db import commands, operations, sandboxes
from api.db.commands import Accepted, Reversal
from api.domain.operation import FINISHED, OperationKind, Stage
from api.domain.sandbox import Cause, Goal, Sandbox, State
from api.errors import NestboxError
from api.hosts.errors import HostCallError, Refused
from api.services.calls import Calls
from api.services.children import Children
from api.services.outcome import Outcome, Outcomes
from api.services.reports import Reports
from api.services.resources import Resources

REVERSALS = {
    OperationKind.CREATE: Reversal(State.STARTING, State.FAILED, Goal.RUNNING, Cause.START_FAILED),
    OperationKind.START: Reversal(State.STARTING, State.STOPPED, Goal.RUNNING, Cause.START_FAILED),
    OperationKind.PAUSE: Reversal(State.PAUSING, State.RUNNING, Goal.RUNNING, Cause.USER),
    OperationKind.RESUME: Reversal(State.RESUMING, State.PAUSED, Goal.PAUSED, Cause.USER),
}
"""What a definite refusal of the host leads to. A delete has none: it is sent again until it is done. Templates and
forks leave the sandbox as it was, which its goal says."""

_AS_IT_WAS = {Goal.RUNNING: State.RUNNING, Goal.PAUSED: State.PAUSED}

_log = structlog.get_logger()


class Commands:
    """Calls hosts for commands that are in the database already, and records the outcome.

    A refusal reverts the sandbox under the same generation. After an unknown outcome it stays in its transitional
    state, and the reconciler finds out from the host's inventory; it is told of both (`when_in_doubt`).
    """

    def __init__(self, resources: Resources, reports_: Reports, outcomes: Outcomes) -> None:
        self._resources = resources
        self._reports = reports_
        self._outcomes = outcomes
        self._calls = Calls(resources.database, resources.cluster)
        self._children = Children(resources)
        self._under_way: dict[UUID, UUID] = {}
        self._in_doubt: Callable[[UUID], None] = lambda _: None

    @property
    def under_way(self) -> frozenset[UUID]:
        """The sandboxes for which this replica is calling a host now."""
        return frozenset(self._under_way.values())

    @property
    def operations_under_way(self) -> frozenset[UUID]:
        """The operations for which this replica is calling a host now."""
        return frozenset(self._under_way)

    def when_in_doubt(self, look: Callable[[UUID], None]) -> None:
        """`look` is called with the id of a host that did not simply do what it was told."""
        self._in_doubt = look

    def start(self, accepted: Accepted, environment: dict[str, str] | None = None) -> None:
        """Carries a command out, whatever becomes of the caller. `environment` None: as the database has it."""
        self._outcomes.expect(accepted.operation.id)
        self._under_way[accepted.operation.id] = accepted.sandbox.id
        self._resources.tasks.command(
            f"{accepted.operation.kind} {accepted.sandbox.id}", self._carry_out(accepted, environment)
        )

    async def resend(self, sandbox_id: UUID) -> None:
        """Carries out again the last command of a sandbox that is still in its transitional state: hosts do not do the
        same generation twice. Raises: Unavailable."""
        found = await sandboxes.load(self._resources.database, (sandbox_id,))
        if not found or found[0].last_operation is None or sandbox_id in self.under_way:
            return
        sandbox, operation = found[0], found[0].last_operation
        if operation.generation != sandbox.generation or sandbox.state is not _UNDER_WAY.get(operation.kind):
            return
        _log.info("command sent again", sandbox_id=str(sandbox_id), operation_id=str(operation.id), kind=operation.kind)
        self.start(Accepted(sandbox, operation))

    async def give_up(self, sandbox_id: UUID, error: NestboxError) -> None:
        """Takes the last command of a sandbox back, if it is still under way: its host will never say what came of it.
        Raises: Unavailable."""
        found = await sandboxes.load(self._resources.database, (sandbox_id,))
        operation = found[0].last_operation if found else None
        if operation is not None and operation.state not in FINISHED:
            await self._revert(Accepted(found[0], operation), error)

    async def settle_fork(self, fork_id: UUID, parent_id: UUID) -> None:
        """Ends a fork whose parent is no longer at it, as if its call were made just now: the host repeats its answer.
        Raises: Unavailable."""
        database = self._resources.database
        found = await sandboxes.load(database, (parent_id,))
        operation = next(iter(await operations.load(database, (fork_id,))), None)
        if not found or operation is None or operation.state in FINISHED or fork_id in self._under_way:
            return
        _log.info("fork asked for again", sandbox_id=str(parent_id), operation_id=str(fork_id))
        self.start(Accepted(found[0], operation))

    async def begin_children(self, fork_id: UUID, stages: tuple[Stage, ...] = ()) -> None:
        """Starts the children of a fork that has succeeded, if that was not done yet. Raises: Unavailable."""
        for accepted in await self._children.begin(fork_id, stages):
            self.start(accepted)

    async def fail_children(self, fork_id: UUID, error: NestboxError) -> None:
        """Ends a fork, and its children that wait for it. Raises: Unavailable."""
        await self._children.fail(fork_id, error)

    async def _carry_out(self, accepted: Accepted, environment: dict[str, str] | None) -> None:
        sandbox, operation = accepted.sandbox, accepted.operation
        faults = self._resources.faults
        log = _log.bind(sandbox_id=str(sandbox.id), operation_id=str(operation.id), kind=operation.kind)
        try:
            if sandbox.host_id is None:
                await self._finish_without_host(sandbox)
                return
            client = self._resources.hosts.client(sandbox.host_id)
            faults.reach(f"api.{operation.kind}.committed")
            machine = await self._calls.send(client, sandbox, operation, environment)
            faults.reach(f"api.{operation.kind}.called")
            if not self._outcomes.is_settled(operation.id):
                await self._reports.apply(sandbox.host_id, machine)
                if operation.kind is OperationKind.FORK:
                    await self.begin_children(operation.id, machine.stages)
                # the same report may have come first by the other way, and its writer not have told yet
                await self._outcomes.look_up(Outcome(sandbox, operation))
            faults.reach(f"api.{operation.kind}.recorded")
        except Refused as refused:
            log.warning("host refused", code=refused.error.code, detail=refused.error.detail)
            await self._revert(accepted, refused.error)
            self._doubt(sandbox)
        except HostCallError as unknown:
            log.warning("outcome unknown", code=unknown.error.code, detail=unknown.error.detail)
            if operation.kind is OperationKind.FORK:
                await self._end_uncertain_fork(operation.id, unknown.error)
            self._doubt(sandbox)
        except NestboxError as error:
            # before the call, or after it when its outcome could not be written: both can be seen in the inventory
            log.warning("outcome not recorded", code=error.code, detail=error.detail)
        finally:
            self._under_way.pop(operation.id, None)
            self._outcomes.forget(operation.id)
        if faults.take_again():
            self.start(accepted, environment)

    def _doubt(self, sandbox: Sandbox) -> None:
        if sandbox.host_id is not None:
            self._in_doubt(sandbox.host_id)

    async def _revert(self, accepted: Accepted, error: NestboxError) -> None:
        reversal = _reversal(accepted)
        if reversal is None:
            return
        now = self._resources.clock.now()
        reverted = await commands.refuse(self._resources.database, accepted.operation.id, reversal, error, now)
        if reverted is not None:
            self._resources.waker.wake()
            self._outcomes.settle(Outcome(reverted.sandbox, reverted.operation))
        if accepted.operation.kind is OperationKind.FORK:
            await self._children.fail(accepted.operation.id, error)

    async def _end_uncertain_fork(self, fork_id: UUID, error: NestboxError) -> None:
        """Some answers say nothing certain of the parent, and enough of the fork."""
        if error.code == "MACHINE_GONE":
            await self._children.fail(fork_id, error)
        elif error.code == "STALE_GENERATION":
            # its answer was overtaken, and is not to be had any more: each child learns whether enough was kept for it
            await self.begin_children(fork_id)

    async def _finish_without_host(self, sandbox: Sandbox) -> None:
        if sandbox.state is not State.DELETING:
            return
        await self._reports.conclude(
            sandbox.id, sandbox.state, sandbox.version, target=State.DELETED, cause=Cause.USER, detail=""
        )


_UNDER_WAY = {
    OperationKind.CREATE: State.STARTING,
    OperationKind.START: State.STARTING,
    OperationKind.PAUSE: State.PAUSING,
    OperationKind.RESUME: State.RESUMING,
    OperationKind.DELETE: State.DELETING,
    OperationKind.CREATE_TEMPLATE: State.SNAPSHOTTING,
    OperationKind.FORK: State.SNAPSHOTTING,
}


def _reversal(accepted: Accepted) -> Reversal | None:
    if accepted.operation.kind not in {OperationKind.CREATE_TEMPLATE, OperationKind.FORK}:
        return REVERSALS.get(accepted.operation.kind)
    goal = accepted.sandbox.goal
    # what was asked for after it, a deletion, goes on from there
    return Reversal(State.SNAPSHOTTING, _AS_IT_WAS.get(goal, State.RUNNING), goal, Cause.USER)

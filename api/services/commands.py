"""Carrying out commands that were accepted: the call to the host, in a task of the server."""

from collections.abc import Callable
from typing import assert_never
from uuid import UUID

import structlog

from api.db import commands, sandboxes
from api.db.commands import Accepted, Reversal
from api.domain.machine import Machine
from api.domain.operation import OperationKind
from api.domain.sandbox import Cause, Goal, Sandbox, State
from api.errors import NestboxError
from api.hosts.client import HostClient
from api.hosts.errors import HostCallError, Refused
from api.services.outcome import Outcome, Outcomes
from api.services.reports import Reports
from api.services.resources import Resources

REVERSALS = {
    OperationKind.CREATE: Reversal(State.STARTING, State.FAILED, Goal.RUNNING, Cause.START_FAILED),
    OperationKind.START: Reversal(State.STARTING, State.STOPPED, Goal.RUNNING, Cause.START_FAILED),
    OperationKind.PAUSE: Reversal(State.PAUSING, State.RUNNING, Goal.RUNNING, Cause.USER),
    OperationKind.RESUME: Reversal(State.RESUMING, State.PAUSED, Goal.PAUSED, Cause.USER),
}
"""What a definite refusal of the host leads to. A delete has none: it is sent again until it is done."""

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
        self._under_way: dict[UUID, UUID] = {}
        self._in_doubt: Callable[[UUID], None] = lambda _: None

    @property
    def under_way(self) -> frozenset[UUID]:
        """The sandboxes for which this replica is calling a host now."""
        return frozenset(self._under_way.values())

    def when_in_doubt(self, look: Callable[[UUID], None]) -> None:
        """`look` is called with the id of a host that did not simply do what it was told."""
        self._in_doubt = look

    def start(self, accepted: Accepted, environment: dict[str, str]) -> None:
        """Carries a command out, whatever becomes of the caller."""
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
        if operation.generation != sandbox.generation or sandbox.state is not _UNDER_WAY[operation.kind]:
            return
        _log.info("command sent again", sandbox_id=str(sandbox_id), operation_id=str(operation.id), kind=operation.kind)
        environment = await sandboxes.environment(self._resources.database, sandbox_id)
        self.start(Accepted(sandbox, operation), environment)

    async def _carry_out(self, accepted: Accepted, environment: dict[str, str]) -> None:
        sandbox, operation = accepted.sandbox, accepted.operation
        faults = self._resources.faults
        log = _log.bind(sandbox_id=str(sandbox.id), operation_id=str(operation.id), kind=operation.kind)
        try:
            if sandbox.host_id is None:
                await self._finish_without_host(sandbox)
                return
            client = self._resources.hosts.client(sandbox.host_id)
            faults.reach(f"api.{operation.kind}.committed")
            cluster_id = await self._resources.cluster.id()
            machine = await _call(client, operation.kind, sandbox, operation.generation, environment, cluster_id)
            faults.reach(f"api.{operation.kind}.called")
            if not self._outcomes.is_settled(operation.id):
                await self._reports.apply(sandbox.host_id, machine)
                # the same report may have come first by the other way, and its writer not have told yet
                await self._outcomes.look_up(Outcome(sandbox, operation))
            faults.reach(f"api.{operation.kind}.recorded")
        except Refused as refused:
            log.warning("host refused", code=refused.error.code, detail=refused.error.detail)
            await self._revert(accepted, refused.error)
            self._doubt(sandbox)
        except HostCallError as unknown:
            log.warning("outcome unknown", code=unknown.error.code, detail=unknown.error.detail)
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
        reversal = REVERSALS.get(accepted.operation.kind)
        if reversal is None:
            return
        now = self._resources.clock.now()
        reverted = await commands.refuse(self._resources.database, accepted.operation.id, reversal, error, now)
        if reverted is not None:
            self._resources.waker.wake()
            self._outcomes.settle(Outcome(reverted.sandbox, reverted.operation))

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
}


async def _call(
    client: HostClient,
    kind: OperationKind,
    sandbox: Sandbox,
    generation: int,
    environment: dict[str, str],
    cluster_id: UUID,
) -> Machine:
    match kind:
        case OperationKind.CREATE:
            return await client.create(sandbox, generation, environment, cluster_id)
        case OperationKind.PAUSE:
            return await client.pause(sandbox.id, generation)
        case OperationKind.RESUME:
            return await client.resume(sandbox.id, generation, sandbox.timeout_sec, sandbox.cause)
        case OperationKind.DELETE:
            return await client.destroy(sandbox.id, generation)
        case OperationKind.START:
            return await client.start(sandbox.id, generation, sandbox.timeout_sec)
        case _:
            assert_never(kind)

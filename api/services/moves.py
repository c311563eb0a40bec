"""Commands that move a sandbox from one state to another, for users and for the system itself."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from uuid import UUID

from api.db import commands, sandboxes
from api.db.commands import Acceptance, Accepted
from api.db.errors import KeyUsedError
from api.domain.operation import OperationKind
from api.domain.principal import SYSTEM_ACTOR, Principal, Scope, require
from api.domain.quota import taken_to_run
from api.domain.sandbox import (
    LEAST_SHAPE,
    UNREACHABLE,
    Action,
    Cause,
    Goal,
    Sandbox,
    State,
    accepted_in,
    deadline_of,
    shown_state,
)
from api.errors import Conflict, Internal, NestboxError, NoCapacity
from api.ids import Kind, new_id, wire_id
from api.services.audit import note
from api.services.commands import Commands
from api.services.idempotency import Repeatable, check_wait, repeatable
from api.services.outcome import Outcome, Outcomes
from api.services.places import no_such_sandbox, raise_refusal
from api.services.quotas import Hold
from api.services.resources import Resources

_MOVES = {
    Action.PAUSE: (OperationKind.PAUSE, State.PAUSING, Goal.PAUSED),
    Action.RESUME: (OperationKind.RESUME, State.RESUMING, Goal.RUNNING),
    Action.START: (OperationKind.START, State.STARTING, Goal.RUNNING),
    Action.DELETE: (OperationKind.DELETE, State.DELETING, Goal.GONE),
}


class Moves:
    """Each is accepted in one transaction, then carried out in a task of the server."""

    def __init__(self, resources: Resources, commands_: Commands, outcomes: Outcomes) -> None:
        self._resources = resources
        self._database = resources.database
        self._commands = commands_
        self._outcomes = outcomes

    async def get(self, principal: Principal, sandbox_id: UUID) -> Sandbox:
        """A sandbox as it is now. Raises: NotFound."""
        sandbox = await sandboxes.get(self._database, principal.team_id, sandbox_id)
        if sandbox is None:
            raise no_such_sandbox()
        return sandbox

    async def by_user(
        self, principal: Principal, sandbox_id: UUID, action: Action, key: str | None, wait_seconds: int
    ) -> Outcome:
        """Accepts a command, and waits for its outcome. Raises: as `Sandboxes.pause`."""
        require(principal, Scope.WRITE)
        check_wait(wait_seconds)
        kind, target, goal = _MOVES[action]
        repetition = repeatable(key, {"kind": kind, "sandbox_id": str(sandbox_id)})
        acceptance = self.acceptance(principal, kind, target, repetition)
        accepted: Accepted | None = None
        refused: NoCapacity | None = None
        try:
            async with self._hold(principal.team_id, action) as hold, self._database.transaction() as transaction:
                accepted = await commands.move(
                    transaction,
                    acceptance,
                    sandbox_id,
                    target=target,
                    goal=goal,
                    sources=_sources(action),
                    needs_host=action is not Action.DELETE,
                )
                if accepted is not None:
                    await hold.check(transaction)
                    await note(transaction, acceptance.now, wire_id(Kind.SANDBOX, sandbox_id))
        except NoCapacity as error:
            accepted, refused = None, error
        except KeyUsedError:
            accepted = None
        if accepted is None:
            first = await repetition.first_result(self._database, principal)
            if first is None:
                first = await self._already_under_way(principal, sandbox_id, action, refused)
            return await self._outcomes.wait(first, wait_seconds)
        self._commands.start(accepted)
        self._resources.waker.wake()
        return await self._outcomes.wait(Outcome(accepted.sandbox, accepted.operation), wait_seconds)

    async def _already_under_way(
        self, principal: Principal, sandbox_id: UUID, action: Action, refused: NoCapacity | None
    ) -> Outcome:
        """The delete that was accepted before; for everything else, the error that says why it was not accepted."""
        sandbox = await sandboxes.get(self._database, principal.team_id, sandbox_id)
        if sandbox is None:
            raise no_such_sandbox()
        operation = sandbox.last_operation
        if action is Action.DELETE and operation is not None and operation.kind is OperationKind.DELETE:
            return Outcome(sandbox, operation)
        if refused is not None:
            wanted = taken_to_run(sandbox.shape)
            refused = await self._resources.quotas.restated(refused, sandbox.team_id, wanted)
        raise why_not_moved(sandbox, action, refused)

    async def by_system(
        self, team_id: UUID, sandbox_id: UUID, action: Action, cause: Cause, wait_seconds: float = 0
    ) -> Outcome | None:
        """A command that nobody gave, for a cause that says why; None when it is not possible now.

        Raises: Unavailable. NoCapacity: `QUOTA_EXCEEDED`, for what would run again.
        """
        kind, target, goal = _MOVES[action]
        now = self._resources.clock.now()
        acceptance = Acceptance(
            new_id(), kind, team_id, SYSTEM_ACTOR, now, _deadline(now, target), None, None, cause=cause
        )
        async with self._hold(team_id, action) as hold, self._database.transaction() as transaction:
            accepted = await commands.move(
                transaction,
                acceptance,
                sandbox_id,
                target=target,
                goal=goal,
                sources=_sources(action),
                needs_host=True,
            )
            if accepted is not None:
                await hold.check(transaction)
        if accepted is None:
            return None
        self._commands.start(accepted)
        self._resources.waker.wake()
        return await self._outcomes.wait(Outcome(accepted.sandbox, accepted.operation), wait_seconds)

    def _hold(self, team_id: UUID, action: Action) -> AbstractAsyncContextManager[Hold]:
        # what gives something back is never refused
        wanted = taken_to_run(LEAST_SHAPE) if action in {Action.RESUME, Action.START} else {}
        return self._resources.quotas.hold(team_id, wanted)

    def acceptance(
        self, principal: Principal, kind: OperationKind, target: State, repetition: Repeatable
    ) -> Acceptance:
        """What a command of a user brings."""
        now = self._resources.clock.now()
        return Acceptance(
            operation_id=new_id(),
            kind=kind,
            team_id=principal.team_id,
            actor=principal.actor,
            now=now,
            state_deadline_at=_deadline(now, target),
            idempotency_key=repetition.key,
            input_sha256=repetition.input_sha256,
        )


def why_not_moved(sandbox: Sandbox, action: Action, refused: NoCapacity | None = None) -> NestboxError:
    """Why a command was not accepted for a sandbox that is as it was looked at afterwards; `refused` if its team has
    too much, which matters only if the sandbox is in a state for it."""
    try:
        raise_refusal(action, sandbox.state, reachable=shown_state(sandbox) != UNREACHABLE)
    except NestboxError as error:
        return error
    if refused is not None:
        return refused
    return Conflict("The sandbox was changing just now; try again.", code="WRONG_STATE")


def _sources(action: Action) -> frozenset[State]:
    states = accepted_in(action)
    # what is being deleted needs no second command
    return states - {State.DELETING, State.DELETED} if action is Action.DELETE else states


def _deadline(now: datetime, target: State) -> datetime:
    seconds = deadline_of(target)
    if seconds is None:
        raise Internal("A command leads to a state that has no end.", detail=target)
    return now + timedelta(seconds=seconds)

"""Forking sandboxes: children that begin as their parent is now."""

import asyncio
from dataclasses import asdict, dataclass

from api.db import forks, sandboxes
from api.db.commands import Accepted
from api.db.errors import KeyUsedError
from api.domain.operation import FINISHED, Operation, OperationKind
from api.domain.principal import Principal, Scope, require
from api.domain.quota import taken_by_sandboxes
from api.domain.sandbox import Action, ForkSandbox, Sandbox, Shape, State, accepted_in, check_forking, inherit
from api.errors import NoCapacity
from api.ids import Kind, new_id, wire_id
from api.services.audit import note
from api.services.commands import Commands
from api.services.idempotency import check_wait, repeatable
from api.services.moves import Moves, why_not_moved
from api.services.outcome import Outcome, Outcomes
from api.services.places import no_such_sandbox
from api.services.resources import Resources


@dataclass(frozen=True, slots=True)
class Child:
    """One child of a fork, and the operation that starts it: None until the fork has succeeded, and if it failed."""

    sandbox: Sandbox
    operation: Operation | None


@dataclass(frozen=True, slots=True)
class ForkOutcome:
    """Parent, fork and children as they are when the caller stops waiting. Some children may run and others not."""

    parent: Sandbox
    operation: Operation
    children: tuple[Child, ...]


class Forks:
    """The parent stands still once, however many children there are; each of them is then started like any sandbox."""

    def __init__(self, resources: Resources, commands_: Commands, outcomes: Outcomes, moves: Moves) -> None:
        self._resources = resources
        self._database = resources.database
        self._commands = commands_
        self._outcomes = outcomes
        self._moves = moves

    async def create(self, principal: Principal, command: ForkSandbox) -> ForkOutcome:
        """Accepts a fork, and waits for its children up to `wait_seconds`.

        Children are there at once, pending, and go on whatever becomes of the caller and of the parent. With an
        idempotency key a repetition returns the first result.

        Raises:
            Invalid: something in the command. NotFound: no such sandbox. Conflict: `WRONG_STATE`,
            `IDEMPOTENCY_CONFLICT`. NoCapacity: `QUOTA_EXCEEDED`: not with all of its children; then there is none.
            Unavailable: its host does not answer.
        """
        require(principal, Scope.WRITE)
        wait_seconds = check_wait(command.wait_seconds)
        check_forking(command)
        wish = asdict(command) | {"kind": OperationKind.FORK, "idempotency_key": None, "wait_seconds": None}
        repetition = repeatable(command.idempotency_key, wish)
        first = await repetition.first_result(self._database, principal)
        if first is None:
            parent = await self._moves.get(principal, command.sandbox_id)
            forking = inherit(command, parent, await sandboxes.environment(self._database, parent.id))
            acceptance = self._moves.acceptance(principal, OperationKind.FORK, State.SNAPSHOTTING, repetition)
            children = [new_id() for _ in range(command.count)]
            accepted: Accepted | None = None
            refused: NoCapacity | None = None
            shape = Shape(parent.vcpus, parent.memory_mb, forking.disk_size_mb)
            try:
                async with (
                    self._resources.quotas.hold(principal.team_id, taken_by_sandboxes(shape, command.count)) as hold,
                    self._database.transaction() as transaction,
                ):
                    accepted = await forks.create(
                        transaction, acceptance, parent.id, children, forking, accepted_in(Action.FORK)
                    )
                    if accepted is not None:
                        await hold.check(transaction)
                        await note(transaction, acceptance.now, wire_id(Kind.SANDBOX, parent.id))
            except NoCapacity as error:
                accepted, refused = None, error
            except KeyUsedError:
                accepted = None
            if accepted is None:
                first = await repetition.first_result(self._database, principal)
                if first is None:
                    sandbox = await sandboxes.get(self._database, principal.team_id, command.sandbox_id)
                    raise no_such_sandbox() if sandbox is None else why_not_moved(sandbox, Action.FORK, refused)
            else:
                self._commands.start(accepted)
                self._resources.waker.wake()
                first = Outcome(accepted.sandbox, accepted.operation)
        return await self._wait(first, wait_seconds)

    async def _wait(self, begun: Outcome, seconds: float) -> ForkOutcome:
        clock = self._resources.clock
        deadline = clock.monotonic() + seconds
        ended = await self._outcomes.wait(begun, seconds)
        children = await self._children(ended.operation)
        async with asyncio.TaskGroup() as group:
            for child in children:
                if child.operation is not None and child.operation.state not in FINISHED:
                    outcome = Outcome(child.sandbox, child.operation)
                    group.create_task(self._outcomes.wait(outcome, max(0.0, deadline - clock.monotonic())))
        parent = await sandboxes.get(self._database, begun.sandbox.team_id, begun.sandbox.id)
        return ForkOutcome(parent or ended.sandbox, ended.operation, await self._children(ended.operation))

    async def _children(self, operation: Operation) -> tuple[Child, ...]:
        found = await forks.children(self._database, operation.id)
        creations = await forks.creations(self._database, operation.id)
        return tuple(Child(sandbox, creations.get(sandbox.id)) for sandbox in found)

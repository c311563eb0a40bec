"""Sandboxes: looking at them, and the commands that move them."""

from collections.abc import Collection
from dataclasses import asdict
from uuid import UUID

from api.db import commands, sandboxes
from api.db.commands import Accepted
from api.db.errors import KeyUsedError
from api.domain.operation import OperationKind
from api.domain.page import Page, PageRequest
from api.domain.principal import Principal, Scope, require, require_platform_admin, require_sight
from api.domain.quota import taken_by_sandboxes
from api.domain.sandbox import (
    Action,
    CreateSandbox,
    Sandbox,
    SandboxFilter,
    State,
    check_creation,
    least_shape,
)
from api.errors import Conflict, NoCapacity
from api.hosts.errors import HostCallError
from api.ids import Kind, new_id, wire_id
from api.services.audit import note
from api.services.commands import Commands
from api.services.idempotency import check_wait, repeatable
from api.services.moves import Moves
from api.services.outcome import Outcome, Outcomes
from api.services.places import no_such_sandbox, running_place
from api.services.placing import Placing
from api.services.resources import Resources


class Sandboxes:
    """What a principal can do with sandboxes of its team. Others' look like none."""

    def __init__(
        self, resources: Resources, commands_: Commands, outcomes: Outcomes, moves: Moves, placing: Placing
    ) -> None:
        self._resources = resources
        self._database = resources.database
        self._commands = commands_
        self._outcomes = outcomes
        self._moves = moves
        self._placing = placing

    async def get(self, principal: Principal, sandbox_id: UUID) -> Sandbox | None:
        """One sandbox with its newest operation; deleted ones too."""
        require(principal, Scope.READ)
        return await sandboxes.get(self._database, principal.team_id, sandbox_id)

    async def get_many(self, principal: Principal, sandbox_ids: Collection[UUID]) -> dict[UUID, Sandbox]:
        """Those of them that exist, with their newest operations, in one query."""
        require(principal, Scope.READ)
        return await sandboxes.get_many(self._database, principal.team_id, sandbox_ids)

    async def list(
        self, principal: Principal, criteria: SandboxFilter, page: PageRequest, *, newest_first: bool = True
    ) -> Page[Sandbox]:
        """A page of the list (`api.domain.page.page_request` makes the request), without operations."""
        require(principal, Scope.READ)
        return await sandboxes.page(self._database, principal.team_id, criteria, page, newest_first=newest_first)

    async def count(self, principal: Principal, criteria: SandboxFilter) -> int:
        """How many sandboxes the criteria match."""
        require(principal, Scope.READ)
        return await sandboxes.count(self._database, principal.team_id, criteria)

    async def parents(self, principal: Principal, sandbox_ids: Collection[UUID]) -> dict[UUID, Sandbox]:
        """Of children that the caller sees: their parents, by their ids, in one query."""
        return await sandboxes.get_many(self._database, require_sight(principal), sandbox_ids)

    async def get_of_any_team(self, principal: Principal, sandbox_id: UUID) -> Sandbox | None:
        """One sandbox of whatever team. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return (await sandboxes.get_many(self._database, None, [sandbox_id])).get(sandbox_id)

    async def list_of_all_teams(
        self,
        principal: Principal,
        team_id: UUID | None,
        criteria: SandboxFilter,
        page: PageRequest,
        *,
        newest_first: bool = True,
    ) -> Page[Sandbox]:
        """A page of the sandboxes of every team, or of the one that is named, without operations.

        Raises: Forbidden for all but platform admins.
        """
        require_platform_admin(principal)
        return await sandboxes.page(self._database, team_id, criteria, page, newest_first=newest_first)

    async def count_of_all_teams(self, principal: Principal, team_id: UUID | None, criteria: SandboxFilter) -> int:
        """How many of them there are. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await sandboxes.count(self._database, team_id, criteria)

    async def create(self, principal: Principal, command: CreateSandbox) -> Outcome:
        """Accepts a sandbox and starts it, and waits for that up to `wait_seconds`.

        With an idempotency key a repetition returns the first result. A caller that goes away stops nothing.

        Raises:
            Invalid: something in the command; `UNSUPPORTED_SHAPE`: not of this template. NotFound: the template.
            Conflict: `IDEMPOTENCY_CONFLICT`.
            NoCapacity: `QUOTA_EXCEEDED`: the team has too much. Unavailable: no host can take it. After any of them
            there is no sandbox.
        """
        require(principal, Scope.WRITE)
        wait_seconds = check_wait(command.wait_seconds)
        creation = check_creation(command)
        repetition = repeatable(command.idempotency_key, {"kind": OperationKind.CREATE, **asdict(creation)})
        acceptance = self._moves.acceptance(principal, OperationKind.CREATE, State.STARTING, repetition)
        accepted: Accepted | None = None
        refused: NoCapacity | None = None
        wanted = taken_by_sandboxes(least_shape(creation))
        try:
            async with (
                self._resources.quotas.hold(principal.team_id, wanted) as hold,
                self._database.transaction() as transaction,
            ):
                accepted = await commands.create(
                    transaction,
                    acceptance,
                    new_id(),
                    creation,
                    self._resources.hosts.host_ids,
                    shares_emulated=self._resources.shares_emulated,
                )
                if accepted is not None:
                    await hold.check(transaction)
                    await note(transaction, acceptance.now, wire_id(Kind.SANDBOX, accepted.sandbox.id))
        except NoCapacity as error:
            accepted, refused = None, error
        except (KeyUsedError, Conflict):
            # the template was deleted in that moment, if it is not the key
            accepted = None
        if accepted is None:
            first = await repetition.first_result(self._database, principal)
            if first is None:
                raise await self._placing.why_not(principal, creation, refused)
            return await self._outcomes.wait(first, wait_seconds)
        self._commands.start(accepted, creation.environment)
        self._resources.waker.wake()
        return await self._outcomes.wait(Outcome(accepted.sandbox, accepted.operation), wait_seconds)

    async def pause(
        self, principal: Principal, sandbox_id: UUID, *, idempotency_key: str | None = None, wait_seconds: int = 30
    ) -> Outcome:
        """Saves memory and lets the machine go.

        Raises:
            NotFound: no such sandbox. Conflict: `WRONG_STATE`, `IDEMPOTENCY_CONFLICT`. Invalid: key or waiting time.
            Unavailable: its host does not answer.
        """
        return await self._moves.by_user(principal, sandbox_id, Action.PAUSE, idempotency_key, wait_seconds)

    async def resume(
        self, principal: Principal, sandbox_id: UUID, *, idempotency_key: str | None = None, wait_seconds: int = 30
    ) -> Outcome:
        """Starts a paused sandbox with its memory. Raises: as `pause`."""
        return await self._moves.by_user(principal, sandbox_id, Action.RESUME, idempotency_key, wait_seconds)

    async def start(
        self, principal: Principal, sandbox_id: UUID, *, idempotency_key: str | None = None, wait_seconds: int = 30
    ) -> Outcome:
        """Boots a stopped sandbox from its kept disk; memory and processes are new. Raises: as `pause`."""
        return await self._moves.by_user(principal, sandbox_id, Action.START, idempotency_key, wait_seconds)

    async def delete(
        self, principal: Principal, sandbox_id: UUID, *, idempotency_key: str | None = None, wait_seconds: int = 30
    ) -> Outcome:
        """Removes everything of a sandbox; accepted in every state, and harmless to repeat.

        Raises:
            NotFound: no such sandbox. Conflict: `IDEMPOTENCY_CONFLICT`. Invalid: key or waiting time.
        """
        return await self._moves.by_user(principal, sandbox_id, Action.DELETE, idempotency_key, wait_seconds)

    async def ping(self, principal: Principal, sandbox_id: UUID) -> Sandbox:
        """Counts as activity.

        Raises:
            NotFound: no such sandbox. Conflict: it does not run. Unavailable: its host does not answer.
        """
        require(principal, Scope.WRITE)
        client = await running_place(self._resources, principal, sandbox_id, Action.PING)
        try:
            await client.ping(sandbox_id)
        except HostCallError as error:
            raise error.error from error
        now = self._resources.clock.now()
        sandbox = await sandboxes.touch(self._database, principal.team_id, sandbox_id, now)
        if sandbox is None:
            raise no_such_sandbox()
        return sandbox

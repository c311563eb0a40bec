"""Templates: looking at them, making them of sandboxes, and deleting them."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import structlog

from api.db import operations, sandboxes, template_commands, templates
from api.db.commands import Acceptance, Accepted
from api.db.errors import KeyUsedError
from api.db.template_commands import Removal
from api.domain.operation import FINISHED, Operation, OperationKind
from api.domain.page import Page, PageRequest
from api.domain.principal import Principal, Scope, require, require_platform_admin, require_sight
from api.domain.quota import taken_by_template
from api.domain.sandbox import LEAST_SHAPE, Action, Sandbox, State, accepted_in
from api.domain.template import (
    IN_USE,
    NewTemplate,
    Template,
    TemplateAllowed,
    TemplateFilter,
    TemplateHost,
    TemplateState,
    check_description,
    check_template_name,
    is_forbidden,
    name_reserved,
    template_actions,
)
from api.errors import Conflict, Forbidden, NestboxError, NoCapacity, NotFound
from api.hosts.errors import HostCallError
from api.ids import PLATFORM_TEAM_ID, Kind, new_id, wire_id
from api.services.audit import note
from api.services.commands import Commands
from api.services.idempotency import check_wait, repeatable
from api.services.moves import Moves, why_not_moved
from api.services.outcome import POLL_SECONDS, Outcome, Outcomes
from api.services.places import no_such_sandbox
from api.services.resources import Resources
from api.services.template_reports import TemplateReports

FIRST_LOOK_SECONDS = 0.02
"""After a deletion was accepted; twice as long at each look."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TemplateOutcome:
    """A template that is made: None until it is complete, and if it cannot be; the sandbox and the operation as they
    are when the caller stops waiting."""

    template: Template | None
    sandbox: Sandbox
    operation: Operation


class Templates:
    """Templates of the principal's team and of the platform. Others' look like none."""

    def __init__(
        self, resources: Resources, commands_: Commands, outcomes: Outcomes, moves: Moves, reports_: TemplateReports
    ) -> None:
        self._resources = resources
        self._database = resources.database
        self._commands = commands_
        self._outcomes = outcomes
        self._moves = moves
        self._reports = reports_
        self._deleting: set[UUID] = set()

    async def get(self, principal: Principal, template_id: UUID) -> Template | None:
        """One template."""
        require(principal, Scope.READ)
        return await templates.get(self._database, principal.team_id, template_id)

    async def get_by_name(self, principal: Principal, name: str) -> Template | None:
        """The team's template of this name, else the platform's."""
        require(principal, Scope.READ)
        return await templates.get_by_name(self._database, principal.team_id, name)

    async def list(self, principal: Principal, criteria: TemplateFilter, page: PageRequest) -> Page[Template]:
        """A page of the list, oldest first."""
        require(principal, Scope.READ)
        return await templates.page(self._database, principal.team_id, criteria, page)

    async def count(self, principal: Principal, criteria: TemplateFilter) -> int:
        """How many templates the criteria match."""
        require(principal, Scope.READ)
        return await templates.count(self._database, principal.team_id, criteria)

    async def list_of_all_teams(
        self, principal: Principal, criteria: TemplateFilter, page: PageRequest
    ) -> Page[Template]:
        """A page of the templates of every team, oldest first. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await templates.page(self._database, None, criteria, page)

    async def count_of_all_teams(self, principal: Principal, criteria: TemplateFilter) -> int:
        """How many of them there are. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await templates.count(self._database, None, criteria)

    async def made(self, principal: Principal, template_ids: Collection[UUID]) -> dict[UUID, Template]:
        """Of operations that the caller sees: the templates that they made, by their ids, in one query."""
        return await templates.get_many(self._database, require_sight(principal), template_ids)

    async def hosts(self, principal: Principal, template_ids: Collection[UUID]) -> dict[UUID, tuple[TemplateHost, ...]]:
        """Which hosts hold each of these templates. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await templates.hosts_of_many(self._database, template_ids)

    async def allowed_actions(
        self, principal: Principal, chosen: Collection[Template]
    ) -> dict[UUID, tuple[TemplateAllowed, ...]]:
        """What can be done now with each of these templates, which the caller sees, and why not; one query if nobody
        looked yet who uses them."""
        require_sight(principal)
        unknown = {template.id for template in chosen if template.in_use is None}
        in_use = await templates.in_use(self._database, unknown) if unknown else frozenset()
        return {
            template.id: template_actions(
                template,
                in_use=template.id in in_use if template.in_use is None else template.in_use,
                is_platform_admin=principal.is_platform_admin,
                team_id=principal.team_id,
            )
            for template in chosen
        }

    async def create(
        self,
        principal: Principal,
        sandbox_id: UUID,
        name: str,
        description: str = "",
        *,
        idempotency_key: str | None = None,
        wait_seconds: int = 30,
    ) -> TemplateOutcome:
        """Makes a template of a sandbox, which runs on, or stays paused; waits for the template up to `wait_seconds`.

        It appears when it is complete. Until then it goes on whatever becomes of the sandbox and of the caller; its
        name is taken meanwhile, and free again if it fails.

        Raises:
            Invalid: name, description, key or waiting time. Forbidden: `TEMPLATE_NAME_RESERVED`. NotFound: the sandbox.
            Conflict: `TEMPLATE_NAME_TAKEN`, `WRONG_STATE`, `IDEMPOTENCY_CONFLICT`. NoCapacity: `QUOTA_EXCEEDED`.
            Unavailable: its host.
        """
        require(principal, Scope.WRITE)
        check_wait(wait_seconds)
        template = NewTemplate(new_id(), check_template_name(name, principal.team_id), check_description(description))
        wish = {"sandbox_id": str(sandbox_id), "name": name, "description": description}
        repetition = repeatable(idempotency_key, {"kind": OperationKind.CREATE_TEMPLATE, **wish})
        first = await repetition.first_result(self._database, principal)
        if first is None:
            await self._check_not_the_platforms(principal, name)
            kind = OperationKind.CREATE_TEMPLATE
            acceptance = self._moves.acceptance(principal, kind, State.SNAPSHOTTING, repetition)
            try:
                accepted = await self._accept(principal.team_id, acceptance, sandbox_id, template)
                refused = None
            except (NoCapacity, Conflict) as error:
                # the name may be that of the first one with the same key
                accepted, refused = None, error
            if accepted is None:
                first = await repetition.first_result(self._database, principal)
                if first is None:
                    raise await self._why_not_made(principal, sandbox_id, refused)
            else:
                self._commands.start(accepted)
                self._resources.waker.wake()
                first = Outcome(accepted.sandbox, accepted.operation)
        outcome = await self._outcomes.wait(first, wait_seconds)
        found = outcome.operation.template_id
        made = None if found is None else await self.get(principal, found)
        return TemplateOutcome(made, outcome.sandbox, outcome.operation)

    async def _accept(
        self, team_id: UUID, acceptance: Acceptance, sandbox_id: UUID, template: NewTemplate
    ) -> Accepted | None:
        """None when the key was used, or the sandbox is not in a state for it. Raises: NoCapacity, Conflict."""
        try:
            async with (
                self._resources.quotas.hold(team_id, taken_by_template(LEAST_SHAPE)) as hold,
                self._database.transaction() as transaction,
            ):
                accepted = await template_commands.create(
                    transaction, acceptance, sandbox_id, template, accepted_in(Action.CREATE_TEMPLATE)
                )
                if accepted is not None:
                    await hold.check(transaction)
                    await note(transaction, acceptance.now, wire_id(Kind.TEMPLATE, template.id))
        except KeyUsedError:
            return None
        return accepted

    async def delete(
        self, principal: Principal, template_id: UUID, *, idempotency_key: str | None = None, wait_seconds: int = 30
    ) -> Operation:
        """Takes a template away: at once nobody can use it and its name is free; hosts remove their files until the
        operation ends, for which this waits up to `wait_seconds`.

        Raises:
            NotFound: no such template. Forbidden: it is the platform's. Conflict: `TEMPLATE_IN_USE`,
            `IDEMPOTENCY_CONFLICT`. Invalid: key or waiting time. After any of them nothing was touched.
        """
        require(principal, Scope.WRITE)
        check_wait(wait_seconds)
        kind = OperationKind.DELETE_TEMPLATE
        repetition = repeatable(idempotency_key, {"kind": kind, "template_id": str(template_id)})
        acceptance = self._moves.acceptance(principal, kind, State.DELETING, repetition)
        teams = [principal.team_id, *([PLATFORM_TEAM_ID] if principal.is_platform_admin else [])]
        removal: Removal | None = None
        # before the statement: to somebody who may never delete it, what stands on it is no answer
        template = await self.get(principal, template_id)
        if template is not None:
            forbidden = is_forbidden(template, is_platform_admin=principal.is_platform_admin)
            if forbidden is not None:
                raise Forbidden(forbidden, path=("id",))
            try:
                async with self._database.transaction() as transaction:
                    removal = await template_commands.delete(transaction, acceptance, template_id, teams)
                    if removal is not None:
                        await note(transaction, acceptance.now, wire_id(Kind.TEMPLATE, template_id))
            except KeyUsedError:
                removal = None
        if removal is None:
            first = await repetition.first_operation(self._database, principal)
            if first is None:
                raise await self._why_not_deleted(principal, template_id)
            return await self._wait(first, wait_seconds)
        self._resources.waker.wake()
        if removal.template.state is TemplateState.DELETING:
            self._resources.tasks.command(f"delete template {template_id}", self.remove(template_id))
        return await self._wait(removal.operation, wait_seconds)

    async def remove(self, template_id: UUID) -> None:
        """Tells every host that has something of a deleted template to remove it. What is away is told by the
        reconciler, again and again. Raises: Unavailable."""
        faults = self._resources.faults
        faults.reach("api.delete_template.committed")
        for holder in await templates.hosts_of(self._database, template_id):
            await self.tell(holder.host_id, template_id)
        faults.reach("api.delete_template.recorded")
        if faults.take_again():
            await self.remove(template_id)

    async def tell(self, host_id: UUID, template_id: UUID) -> None:
        """Tells a host to remove a template, and writes what it answers. A host that does not answer, or refuses while
        something of it still stands on the template, is told again by the reconciler."""
        if template_id in self._deleting:
            return
        self._deleting.add(template_id)
        try:
            held = await self._resources.hosts.client(host_id).delete_template(template_id)
            self._resources.faults.reach("api.delete_template.called")
            await self._reports.apply(host_id, held)
        except HostCallError as error:
            _log.warning("template not removed yet", template_id=str(template_id), code=error.error.code)
        except NestboxError as error:
            # a host that never answered this replica, or a database that is away
            _log.warning("template not removed yet", template_id=str(template_id), code=error.code)
        finally:
            self._deleting.discard(template_id)

    async def _check_not_the_platforms(self, principal: Principal, name: str) -> None:
        if principal.team_id == PLATFORM_TEAM_ID:
            return
        if await templates.get_by_name(self._database, PLATFORM_TEAM_ID, name) is not None:
            raise name_reserved()

    async def _why_not_made(
        self, principal: Principal, sandbox_id: UUID, refused: NoCapacity | Conflict | None
    ) -> NestboxError:
        if isinstance(refused, Conflict):
            return refused
        sandbox = await sandboxes.get(self._database, principal.team_id, sandbox_id)
        if sandbox is None:
            return NotFound(no_such_sandbox().message, path=("sandboxId",))
        if refused is not None:
            wanted = taken_by_template(sandbox.shape)
            refused = await self._resources.quotas.restated(refused, sandbox.team_id, wanted)
        return why_not_moved(sandbox, Action.CREATE_TEMPLATE, refused)

    async def _why_not_deleted(self, principal: Principal, template_id: UUID) -> NestboxError:
        template = await self.get(principal, template_id)
        if template is None:
            return NotFound("There is no such template.", path=("id",))
        return Conflict(IN_USE, code="TEMPLATE_IN_USE", path=("id",))

    async def _wait(self, operation: Operation, seconds: float) -> Operation:
        deadline = self._resources.clock.monotonic() + seconds
        pause_seconds = FIRST_LOOK_SECONDS
        while operation.state not in FINISHED:
            remaining = deadline - self._resources.clock.monotonic()
            if remaining <= 0:
                break
            await asyncio.sleep(min(pause_seconds, remaining))
            pause_seconds = min(2 * pause_seconds, POLL_SECONDS)
            operation = await operations.get(self._database, operation.team_id, operation.id) or operation
        return operation

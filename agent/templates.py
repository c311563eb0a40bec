"""The templates of this host that are made of sandboxes: who may have one made, and how it goes again.

The ledger says how far each is. A killed agent's successor goes on with those of which the snapshot is complete; of the
others nothing is left, and they have failed.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

import structlog

from agent.builds import Builds, Spawn
from agent.drivers.driver import Driver
from agent.errors import AgentError, Code
from agent.failure import as_failure
from agent.faults import Faults
from agent.machine import Machine, Snapshot, Spec
from agent.template import Template, TemplateState
from agent.template_records import TemplateRecords

_log = structlog.get_logger(__name__)

_GONE = frozenset({TemplateState.DELETING, TemplateState.DELETED})


class Templates:
    """Made once, in `agent/host.py`."""

    def __init__(
        self,
        driver: Driver,
        records: TemplateRecords,
        users: Callable[[UUID], Awaitable[int]],
        spawn: Spawn,
        faults: Faults,
    ) -> None:
        """`users` says how many machines, and things that are kept of machines, stand on a template."""
        self.builds = Builds(driver, records, spawn, faults)
        self._driver = driver
        self._records = records
        self._users = users
        self._spawn = spawn
        self._faults = faults
        self._judging = asyncio.Lock()
        self._removals: dict[UUID, asyncio.Future[Template]] = {}
        self._closed: set[UUID] = set()
        self._held: Counter[UUID] = Counter()

    async def begin(self, machine: Machine, action: Snapshot) -> None:
        """A template is going to be made of this sandbox.

        Raises: AgentError WRONG_STATE: it was deleted before; INVALID: the id is another template's; DISK_FULL.
        """
        spec = machine.spec
        template = Template(
            template_id=action.template_id,
            name=action.template_name,
            state=TemplateState.BUILDING,
            sandbox_id=machine.sandbox_id,
            vcpus=spec.vcpus,
            memory_mb=spec.memory_mb,
            disk_size_mb=spec.disk_size_mb,
            changed_at=self._records.now(),
            cluster_id=str(machine.cluster_id) if machine.cluster_id else "",
        )
        async with self._judging:
            known = await self._records.find(action.template_id)
            if known is not None and known.state in _GONE:
                raise AgentError(Code.WRONG_STATE, "The template was deleted.")
            if known is not None and known.state is not TemplateState.FAILED:
                raise AgentError(Code.INVALID, "This id belongs to another template.")
            await self._records.write(template)

    def resume(self) -> None:
        """After a start of the agent: what was under way goes on in the background, or has failed there."""
        done = []
        for template in self._records.all():
            if template.state is TemplateState.BUILDING:
                self.builds.build(template.template_id)
            else:
                done.append(template.template_id)
        _ = self._spawn(self._drop_all(done))

    async def _drop_all(self, template_ids: list[UUID]) -> None:
        """What an agent that was killed had no time for."""
        for template_id in template_ids:
            await self.builds.drop(template_id)

    async def tend(self) -> None:
        """Goes on with removals that were cut off or have failed."""
        for template in self._records.all():
            if template.state is TemplateState.DELETING and template.template_id not in self._removals:
                try:
                    await self.delete(template.template_id)
                except AgentError as error:
                    _log.warning("template not removed", template_id=str(template.template_id), error=error.message)

    @contextmanager
    def held_for(self, spec: Spec) -> Iterator[None]:
        """Keeps a machine's template from being removed while the machine is made, before the ledger knows of it.

        Raises: AgentError UNKNOWN_TEMPLATE: it is being removed, or was.
        """
        template_id = spec.template_id
        known = self._records.shown(template_id)
        if (known is not None and known.state in _GONE) or template_id in self._closed:
            raise AgentError(Code.UNKNOWN_TEMPLATE, "The template was deleted.")
        self._held[template_id] += 1
        try:
            yield
        finally:
            self._held[template_id] -= 1
            if not self._held[template_id]:
                del self._held[template_id]

    async def delete(self, template_id: UUID) -> Template:
        """Removes it, or ends its building. May be repeated. Cancelling the caller does not stop it.

        Raises: AgentError TEMPLATE_IN_USE: a machine of this host, or what is kept of one for its children, stands on
            it: it is as it was. DISK_FULL, and what the driver raises: it is tried again by `tend`.
        """
        removal = self._removals.get(template_id)
        if removal is None:
            removal = self._removals[template_id] = asyncio.get_running_loop().create_future()
            removal.add_done_callback(lambda done: done.cancelled() or done.exception())
            _ = self._spawn(self._remove_for(template_id, removal))
        return await asyncio.shield(removal)

    async def _remove_for(self, template_id: UUID, removal: "asyncio.Future[Template]") -> None:
        try:
            template = await self._delete(template_id)
            if self._faults.take_again():
                template = await self._delete(template_id)
            removal.set_result(template)
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            removal.set_exception(as_failure(error, Code.INTERNAL, "The template could not be removed yet."))
        finally:
            self._closed.discard(template_id)
            del self._removals[template_id]
            if not removal.done():
                removal.set_exception(AgentError(Code.SHUTTING_DOWN, "The host's agent is stopping."))

    async def _delete(self, template_id: UUID) -> Template:
        reach = self._faults.steps("delete_template")
        reach("begin")
        async with self._judging:
            known = await self._records.find(template_id)
            if known is None:
                # remembered though it was never here, so that its snapshot is refused should it come late
                blank = Template(template_id, "", TemplateState.DELETED, None, 0, 0, 0, self._records.now())
                return await self._records.write(blank)
            if known.state is TemplateState.DELETED:
                return known
            await self._close(template_id)
            deleting = await self._intend(known)
        reach("record")
        try:
            await self._driver.remove_template(template_id)
        except AgentError as error:
            # only one that was ready once can be in use
            if error.code is Code.TEMPLATE_IN_USE and deleting.stages:
                await self._records.conclude(template_id, TemplateState.READY, {TemplateState.DELETING})
            raise
        await self._driver.drop_snapshot(template_id)
        reach("remove")
        deleted = await self._records.conclude(
            template_id,
            TemplateState.DELETED,
            {TemplateState.DELETING},
            before=lambda: reach("conclude"),
            error_code="",
            detail="",
        )
        reach("done")
        return deleted

    async def _close(self, template_id: UUID) -> None:
        """From here on no machine is made of it. Raises: AgentError TEMPLATE_IN_USE."""
        users = await self._users(template_id)
        if users or self._held[template_id]:
            message = f"The template is in use: {users or 1} sandboxes or forks on this host stand on it."
            raise AgentError(Code.TEMPLATE_IN_USE, message)
        self._closed.add(template_id)

    async def _intend(self, known: Template) -> Template:
        """Ends its building, if that is under way, and records that it is removed. Raises: AgentError DISK_FULL: it is
        as it was."""
        was_building = await self.builds.end(known.template_id)
        known = self._records.shown(known.template_id) or known
        if known.state is TemplateState.DELETING:
            return known
        try:
            return await self._records.write(
                replace(known, state=TemplateState.DELETING, changed_at=self._records.now())
            )
        except AgentError:
            if was_building:
                self.builds.build(known.template_id)
            raise

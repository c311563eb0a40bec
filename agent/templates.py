"""The templates of this host that are made of sandboxes: built in the background, one after the other, from what was
kept of the sandbox in the moment of the command.

The ledger says how far each is. A killed agent's successor goes on with those of which the snapshot is complete; of the
others nothing is left, and they have failed.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from agent.drivers.driver import Driver, NewTemplate
from agent.errors import AgentError, Code
from agent.failure import as_failure
from agent.faults import Faults
from agent.inventory import Inventory
from agent.ledger import Ledger, LedgerError
from agent.machine import Machine, Snapshot, Stage, State
from agent.template import Template, TemplateState

_log = structlog.get_logger(__name__)

BUILDS_MAX = 1
"""Builds at once: each reads and writes hundreds of MB, beside guests that want the same disk and processors."""

PROGRESS_SECONDS = 1.0
"""Between two reports of how far a build is."""

RECORD_RETRY_SECONDS = 1.0

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Templates:
    """Made once, in `agent/host.py`."""

    def __init__(
        self,
        driver: Driver,
        ledger: Ledger,
        inventory: Inventory,
        *,
        now: Callable[[], datetime],
        spawn: Spawn,
        faults: Faults,
    ) -> None:
        self._driver = driver
        self._ledger = ledger
        self._inventory = inventory
        self._now = now
        self._spawn = spawn
        self._faults = faults
        self._turn = asyncio.Semaphore(BUILDS_MAX)
        self._builds: dict[UUID, asyncio.Task[None]] = {}
        self._deleting = asyncio.Lock()

    async def begin(self, machine: Machine, action: Snapshot, cluster_id: str = "") -> None:
        """A template is going to be made of this sandbox.

        Raises: AgentError WRONG_STATE: it was deleted before; INVALID: the id is another template's; DISK_FULL.
        """
        known = await self._find(action.template_id)
        if known is not None and known.state in {TemplateState.DELETING, TemplateState.DELETED}:
            raise AgentError(Code.WRONG_STATE, "The template was deleted.")
        if known is not None and known.state is not TemplateState.FAILED:
            raise AgentError(Code.INVALID, "This id belongs to another template.")
        spec = machine.spec
        await self._write(
            Template(
                template_id=action.template_id,
                name=action.template_name,
                state=TemplateState.BUILDING,
                sandbox_id=machine.sandbox_id,
                vcpus=spec.vcpus,
                memory_mb=spec.memory_mb,
                disk_size_mb=spec.disk_size_mb,
                changed_at=self._now(),
                cluster_id=cluster_id,
            )
        )

    async def abandon(self, template_id: UUID, error: AgentError) -> None:
        """It cannot be made: nothing is left of it but why."""
        await self._conclude(template_id, state=TemplateState.FAILED, error_code=error.code.value, detail=error.message)
        await self._drop(template_id)

    def build(self, template_id: UUID) -> None:
        """Builds it in the background; its snapshot is complete."""
        task = self._spawn(self._build(template_id))
        self._builds[template_id] = task
        task.add_done_callback(lambda _: self._builds.pop(template_id, None))

    async def resume(self) -> None:
        """After a start of the agent: what was under way goes on, or has failed."""
        for template in self._inventory.snapshot().templates:
            if template.state is TemplateState.BUILDING:
                if await self._driver.has_snapshot(template.template_id):
                    self.build(template.template_id)
                else:
                    message = "The host's agent was stopped before the sandbox was snapshotted."
                    await self.abandon(template.template_id, AgentError(Code.SNAPSHOT_FAILED, message))
            elif template.state is TemplateState.DELETING:
                await self._remove(template)

    async def delete(self, template_id: UUID) -> Template:
        """Removes it, or ends its building. May be repeated. Cancelling the caller does not cancel it.

        Raises: AgentError TEMPLATE_IN_USE: a machine of this host stands on it; nothing was touched. DISK_FULL;
            INTERNAL: it is still being deleted, and is to be told again.
        """
        done: asyncio.Future[Template] = asyncio.get_running_loop().create_future()
        # nobody may be left to ask for the outcome; it is in the ledger
        done.add_done_callback(lambda future: future.cancelled() or future.exception())

        async def delete() -> None:
            try:
                done.set_result(await self._delete(template_id))
            except BaseException as error:  # noqa: BLE001 - told to the caller; a cancellation of this task goes on
                done.set_exception(as_failure(error, Code.INTERNAL, "The template could not be removed yet."))

        _ = self._spawn(delete())
        return await asyncio.shield(done)

    async def _delete(self, template_id: UUID) -> Template:
        async with self._deleting:
            known = await self._find(template_id)
            if known is None:
                # remembered though it was never here, so that its snapshot is refused should it come late
                blank = Template(template_id, "", TemplateState.DELETED, None, 0, 0, 0, self._now())
                return await self._write(blank)
            if known.state is TemplateState.DELETED:
                return known
            self._require_unused(template_id)
            if (task := self._builds.get(template_id)) is not None:
                task.cancel()
                await asyncio.wait([task])
                known = await self._find(template_id) or known
            deleting = known
            if known.state is not TemplateState.DELETING:
                deleting = await self._write(replace(known, state=TemplateState.DELETING, changed_at=self._now()))
            reach = self._faults.steps("delete_template")
            reach("begin")
            removed = await self._remove(deleting)
            reach("remove")
            return removed

    def _require_unused(self, template_id: UUID) -> None:
        users = [
            machine
            for machine in self._inventory.snapshot().machines
            if machine.spec.template_id == template_id and machine.state not in {State.DELETED, State.FAILED}
        ]
        if users:
            raise AgentError(Code.TEMPLATE_IN_USE, f"{len(users)} sandboxes on this host stand on the template.")

    async def _remove(self, template: Template) -> Template:
        await self._driver.remove_template(template.template_id)
        await self._driver.drop_snapshot(template.template_id)
        return await self._conclude(template.template_id, state=TemplateState.DELETED, detail="", error_code="")

    async def _build(self, template_id: UUID) -> None:
        queued = time.perf_counter()
        async with self._turn:
            template = self._inventory.template(template_id)
            if template is None or template.state is not TemplateState.BUILDING:
                return
            started = time.perf_counter()
            reach = self._faults.steps("build_template")
            try:
                reach("begin")
                image = await self._driver.make_template(
                    template_id, NewTemplate(template_id, template.name), _Progress(self, template_id).at
                )
                reach("build")
            except BaseException as error:  # noqa: BLE001 - told as the template's failure
                # a cancellation of this task goes on: the agent stops, or the template is deleted
                failure = as_failure(error, Code.SNAPSHOT_FAILED, "The template could not be made.")
                _log.warning("template failed", template_id=str(template_id), code=failure.code.value)
                await self.abandon(template_id, failure)
                return
            stages = (_stage("queue", started - queued), _stage("build", time.perf_counter() - started))
            await self._conclude(
                template_id,
                state=TemplateState.READY,
                stored_bytes=image.stored_bytes,
                stages=stages,
                progress_percent=100,
            )
            await self._drop(template_id)

    async def _drop(self, template_id: UUID) -> None:
        try:
            await self._driver.drop_snapshot(template_id)
        except (AgentError, OSError) as error:
            # nothing refers to it any more: it is garbage
            _log.warning("a snapshot could not be dropped", snapshot_id=str(template_id), error=str(error))

    async def report(self, template_id: UUID, percent: int) -> None:
        """Tells how far a build is; nothing depends on it."""
        template = self._inventory.template(template_id)
        if template is None or template.state is not TemplateState.BUILDING or template.progress_percent >= percent:
            return
        try:
            await self._ledger.write_template(replace(template, progress_percent=percent), durable=False)
        except LedgerError as error:
            _log.warning("progress not written", template_id=str(template_id), error=str(error))

    def progressed(self, template_id: UUID, percent: int) -> None:
        """See `report`, for those who do not wait."""
        _ = self._spawn(self.report(template_id, percent))

    async def _find(self, template_id: UUID) -> Template | None:
        return self._inventory.template(template_id) or await self._ledger.find_template(template_id)

    async def _write(self, template: Template) -> Template:
        """Raises: AgentError DISK_FULL."""
        try:
            return await self._ledger.write_template(template, durable=True)
        except LedgerError as error:
            message = "The host cannot write its ledger: its disk is probably full."
            raise AgentError(Code.DISK_FULL, message, detail=str(error)) from error

    async def _conclude(self, template_id: UUID, **changes: Any) -> Template:
        """Records what has happened: until the ledger takes it, since it cannot be made undone."""
        while True:
            known = await self._find(template_id)
            if known is None:
                raise AgentError(Code.INTERNAL, "The ledger has lost a template.")
            try:
                return await self._write(replace(known, changed_at=self._now(), **changes))
            except AgentError as error:
                _log.error("the ledger cannot be written", template_id=str(template_id), error=error.detail)
                await asyncio.sleep(RECORD_RETRY_SECONDS)


class _Progress:
    """Passes on what a driver says of a build, now and then. May be called by any thread of the driver's."""

    def __init__(self, templates: Templates, template_id: UUID) -> None:
        self._templates = templates
        self._template_id = template_id
        self._loop = asyncio.get_running_loop()
        self._told_at = time.monotonic()

    def at(self, percent: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            self._loop.call_soon_threadsafe(self._templates.progressed, self._template_id, percent)


def _stage(name: str, seconds: float) -> Stage:
    return Stage(name, int(seconds * 1_000_000))

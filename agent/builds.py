"""Templates that are being built in the background, one after the other, from what was kept of their sandboxes."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import structlog

from agent.drivers.driver import Driver, NewTemplate, TemplateImage
from agent.errors import AgentError, Code
from agent.failure import as_failure
from agent.faults import Faults
from agent.machine import Stage
from agent.template import Template, TemplateState
from agent.template_records import TemplateRecords

_log = structlog.get_logger(__name__)

BUILDS_MAX = 1
"""Builds at once: each reads and writes hundreds of MB, beside guests that want the same disk and processors."""

PROGRESS_SECONDS = 1.0
"""Between two reports of how far a build is."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Builds:
    """Made by `Templates`."""

    def __init__(self, driver: Driver, records: TemplateRecords, spawn: Spawn, faults: Faults) -> None:
        self._driver = driver
        self._records = records
        self._spawn = spawn
        self._faults = faults
        self._turn = asyncio.Semaphore(BUILDS_MAX)
        self._builds: dict[UUID, asyncio.Task[None]] = {}

    def build(self, template_id: UUID) -> None:
        """Builds it in the background, if its snapshot is complete."""
        task = self._spawn(self._build(template_id))
        self._builds[template_id] = task
        task.add_done_callback(lambda _: self._builds.pop(template_id, None))

    async def end(self, template_id: UUID) -> bool:
        """Ends its building, if it is under way, and says whether it was."""
        task = self._builds.get(template_id)
        if task is None:
            return False
        task.cancel()
        await asyncio.wait([task])
        return True

    async def abandon(self, template_id: UUID, error: AgentError) -> None:
        """It cannot be made: nothing is left of it but why."""
        # first the files: the ledger may need their room
        await self.drop(template_id)
        try:
            await self._driver.remove_template(template_id)
        except Exception as left:  # noqa: BLE001 - it goes when the template is deleted
            _log.warning(
                "a failed template's image could not be removed", template_id=str(template_id), error=repr(left)
            )
        await self._records.conclude(
            template_id,
            TemplateState.FAILED,
            {TemplateState.BUILDING},
            error_code=error.code.value,
            detail=error.message,
        )

    async def drop(self, template_id: UUID) -> None:
        """Lets go of what was kept for it. What fails is garbage: nothing refers to it any more."""
        try:
            await self._driver.drop_snapshot(template_id)
        except Exception as error:  # noqa: BLE001 - told here, to nobody else
            _log.warning("a snapshot could not be dropped", snapshot_id=str(template_id), error=repr(error))

    async def _build(self, template_id: UUID) -> None:
        queued = time.perf_counter()
        try:
            async with self._turn:
                await self._build_now(template_id, queued)
                if self._faults.take_again():
                    await self._build_now(template_id, queued)
        except Exception:  # noqa: BLE001 - nobody waits for it; the next agent goes on from what is recorded
            _log.exception("a template's build was cut off", template_id=str(template_id))

    async def _build_now(self, template_id: UUID, queued: float) -> None:
        template = self._records.shown(template_id)
        if template is None or template.state is not TemplateState.BUILDING:
            await self.drop(template_id)  # it was deleted meanwhile
            return
        started = time.perf_counter()
        reach = self._faults.steps("build_template")
        try:
            reach("begin")
            image = await self._make(template)
            reach("build")
        except BaseException as error:  # noqa: BLE001 - told as the template's failure
            # a cancellation of this task goes on: the agent stops, or the template is deleted
            failure = as_failure(error, Code.SNAPSHOT_FAILED, "The template could not be made.")
            _log.warning("template failed", template_id=str(template_id), code=failure.code.value)
            await self.abandon(template_id, failure)
            return
        await self._records.conclude(
            template_id,
            TemplateState.READY,
            {TemplateState.BUILDING},
            before=lambda: reach("conclude"),
            stored_bytes=image.stored_bytes,
            stages=(_stage("queue", started - queued), _stage("build", time.perf_counter() - started)),
            progress_percent=100,
        )
        try:
            reach("done")
        finally:
            await self.drop(template_id)

    async def _make(self, template: Template) -> TemplateImage:
        """Raises: AgentError, as the driver's; SNAPSHOT_FAILED."""
        if not await self._driver.has_snapshot(template.template_id):
            raise AgentError(Code.SNAPSHOT_FAILED, "The host's agent was stopped before the sandbox was snapshotted.")
        percent = 0

        def progress(now: int) -> None:  # any thread of the driver's may call it
            nonlocal percent
            percent = now

        telling = self._spawn(self._tell(template.template_id, lambda: percent))
        try:
            new = NewTemplate(template.template_id, template.name)
            return await self._driver.make_template(template.template_id, new, progress)
        finally:
            # before the outcome is written: what it has written by now goes first, and nothing comes after
            telling.cancel()

    async def _tell(self, template_id: UUID, how_far: Callable[[], int]) -> None:
        """Reports how far a build is; nothing depends on it."""
        told = 0
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            if (percent := how_far()) > told:
                told = percent
                await self._records.progress(template_id, percent)


def _stage(name: str, seconds: float) -> Stage:
    return Stage(name, int(seconds * 1_000_000))

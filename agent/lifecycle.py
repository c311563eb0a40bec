"""The life of one sandbox's machine: each command as the steps that it takes, each step recorded before it is told.

Only the sandbox's keeper calls it, one method at a time. A cancellation (the agent stops) records nothing: the entry
stays in its transitional state, and the next agent resolves it as after a kill (`agent/adoption.py`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog

from agent.drivers.driver import Death, LiveMachine
from agent.errors import AgentError, Code
from agent.failure import as_failure
from agent.idle import IdleTimer
from agent.machine import (
    ACCEPTS_GUEST_CALLS,
    Action,
    Cause,
    Create,
    Destroy,
    Fork,
    Machine,
    Pause,
    Resume,
    SetTimeout,
    Snapshot,
    Spec,
    Start,
    State,
)
from agent.parts import Parts
from agent.record import Changes, Record, answer_is, process_is
from agent.snapshots import keep
from agent.stopwatch import Stopwatch

_log = structlog.get_logger(__name__)

START_DEADLINE_SECONDS = 600
"""For a start, which may have to make the template's image first. The driver's own deadlines are far shorter."""

RESUME_DEADLINE_SECONDS = 120

DEATH_KNOWN_SECONDS = 2
"""How long to wait for the reason when a machine was gone in the middle of a command."""

_NO_TEMPLATE = UUID(int=0)


class Lifecycle:
    """One sandbox's machine. `live` is there exactly while one runs and is not being ended."""

    def __init__(self, sandbox_id: UUID, parts: Parts, on_death: Callable[[LiveMachine, Death], None]) -> None:
        self.record = Record(sandbox_id, parts, self.auto_pause_at)
        self.timer = IdleTimer(parts.monotonic)
        self.live: LiveMachine | None = None
        self._parts = parts
        self._on_death = on_death
        self._death_watch: asyncio.Task[None] | None = None
        self._start_scope: asyncio.Timeout | None = None
        self._abandoned = False

    async def perform(self, action: Action, sandbox_id: UUID, order: Changes, watch: Stopwatch) -> None:
        """Does what a command says; its moves are known to be possible. `order` names the command in the record; it is
        empty for a wish of the host's own.

        Raises:
            AgentError: as the driver's; what that left behind is recorded.
        """
        watch.reach("begin")
        match action:
            case Create():
                await self._create(action, order, watch)
            case Pause():
                await self._pause(action, order, watch)
            case Resume():
                await self._resume(action, order, watch)
            case Start():
                await self._start(action, order, watch)
            case Snapshot() | Fork():
                await self._snapshot(action, order, watch)
            case SetTimeout():
                raise TypeError("no move: the keeper sees to it")
            case Destroy():
                await self._destroy(sandbox_id, order, watch)
        watch.reach("done")

    def abandon_start(self) -> None:
        """Ends a start that is under way: it fails, and leaves nothing."""
        if self._start_scope is not None:
            self._abandoned = True
            self._start_scope.reschedule(asyncio.get_running_loop().time())

    async def ended(self, death: Death) -> None:
        """Records that the machine ended without being asked to."""
        self._release()
        await self.record.conclude(_stopped(death), durable=False)

    def hold(self, live: LiveMachine) -> None:
        """Takes charge of a machine that runs."""
        self.live = live
        self.timer.begin()
        self._death_watch = self._parts.spawn(self._watch_death(live))

    def require_live(self) -> LiveMachine:
        """The machine, to run something in it. Raises: AgentError NO_SUCH_MACHINE, WRONG_STATE."""
        machine = self.record.known()
        if machine.state is State.DELETED:
            raise AgentError(Code.NO_SUCH_MACHINE, "The sandbox was deleted.")
        # One that is snapshotted stands still for a moment: what comes then waits.
        if self.live is None or machine.state not in ACCEPTS_GUEST_CALLS | {State.SNAPSHOTTING}:
            raise AgentError(Code.WRONG_STATE, f"The sandbox is {machine.state.value}, not running.")
        return self.live

    def auto_pause_at(self, machine: Machine) -> datetime | None:
        """When the machine will be paused, being as given, if nothing happens in it."""
        remaining = self.timer.remaining(machine.timeout_sec) if machine.state is State.RUNNING else None
        return None if remaining is None else self._parts.now() + timedelta(seconds=remaining)

    def is_idle(self) -> bool:
        """Whether the machine is to be paused now because nothing happened in it."""
        machine = self.record.machine
        return machine is not None and self.live is not None and self.timer.expired(machine.timeout_sec)

    async def _create(self, action: Create, order: Changes, watch: Stopwatch) -> None:
        parts, spec = self._parts, action.spec
        parts.require_open()
        incarnation = uuid4()
        with parts.templates.held_for(spec), parts.forks.held_for(spec):
            async with parts.capacity.held_for(spec):
                watch.dequeued()
                starting = Changes(
                    incarnation=incarnation, timeout_sec=action.timeout_sec, cluster_id=action.cluster_id
                )
                await self.record.begin(action.spec, order | starting, durable=False)
                try:
                    watch.mark("record")
                    live = await self._launch(self._parts.driver.start(action.spec, incarnation, watch.mark))
                except BaseException as error:
                    failure = as_failure(error, Code.START_FAILED, "The sandbox could not be started.")
                    failed = Changes(
                        state=State.FAILED, cause=Cause.START_FAILED, detail=failure.message, stages=watch.stages
                    )
                    await self.record.conclude(failed | answer_is(failure), before=watch.concluding)
                    raise failure from error
                await self._now_running(live, Changes(), watch)

    async def _start(self, action: Start, order: Changes, watch: Stopwatch) -> None:
        self._parts.require_open()
        machine = self.record.known()
        incarnation = uuid4()
        async with self._parts.capacity.held_for(machine.spec):
            watch.dequeued()
            starting = Changes(state=State.STARTING, cause=Cause.USER, detail="", incarnation=incarnation)
            await self.record.intend(order | starting | process_is(None), durable=True)
            try:
                watch.mark("record")
                live = await self._launch(self._parts.driver.boot(machine.spec, incarnation, watch.mark))
            except BaseException as error:
                failure = as_failure(error, Code.START_FAILED, "The sandbox could not be started.")
                stopped = Changes(
                    state=State.STOPPED, cause=Cause.START_FAILED, detail=failure.message, stages=watch.stages
                )
                await self.record.conclude(stopped | answer_is(failure), before=watch.concluding)
                raise failure from error
            await self._now_running(live, Changes(timeout_sec=action.timeout_sec), watch)

    async def _launch(self, launch: Coroutine[Any, Any, LiveMachine]) -> LiveMachine:
        """Of a start; it can be abandoned."""
        self._abandoned = False
        try:
            async with asyncio.timeout(START_DEADLINE_SECONDS) as self._start_scope:
                return await launch
        except TimeoutError as error:
            if not self._abandoned:
                raise
            raise AgentError(Code.START_FAILED, "The sandbox was deleted while it was starting.") from error
        finally:
            self._start_scope = None

    async def _pause(self, action: Pause, order: Changes, watch: Stopwatch) -> None:
        live, machine = self.require_live(), self.record.known()
        # Durable: after a power cut the driver is asked "paused or not" only if a pause had begun.
        pausing = Changes(state=State.PAUSING, cause=action.cause, detail="")
        await self.record.intend(order | pausing, durable=True)
        try:
            watch.mark("record")
            if action.cause is Cause.IDLE_TIMEOUT and not self.is_idle():
                # Somebody came while it was being written: nothing was done to the machine yet.
                await self.record.conclude(Changes(state=State.RUNNING, cause=machine.cause, detail=machine.detail))
                return
            await self._parts.driver.pause(machine.spec, live, watch.mark)
        except BaseException as error:
            failure = as_failure(error, Code.PAUSE_FAILED, "The sandbox could not be paused.")
            if not await self._is_saved(machine, live, failure):
                await self._not_paused(machine, live, action, failure, Changes(stages=watch.stages), watch)
                raise failure from error
        self._release()
        paused = Changes(state=State.PAUSED, stages=watch.stages)
        await self.record.conclude(paused | process_is(None), before=watch.concluding)

    async def _is_saved(self, machine: Machine, live: LiveMachine, failure: AgentError) -> bool:
        """Whether a pause that failed had come so far that the machine is saved all the same: it is ended then."""
        if failure.code is Code.MACHINE_GONE or not await self._parts.driver.is_paused(machine.sandbox_id):
            return False
        _log.warning("paused in spite of a failure", sandbox_id=str(machine.sandbox_id), error=failure.message)
        await self._parts.driver.kill(live)
        return True

    async def _not_paused(
        self,
        machine: Machine,
        live: LiveMachine,
        action: Pause,
        failure: AgentError,
        answer: Changes,
        watch: Stopwatch,
    ) -> None:
        """Records what became of a machine that could not be paused; `machine` is as it was before."""
        if machine.generation != self.record.known().generation:
            answer |= answer_is(failure)
        if failure.code is Code.MACHINE_GONE:
            self._release()
            await self.record.conclude(_stopped(await _death_of(live)) | answer, before=watch.concluding)
            return
        if action.cause is Cause.IDLE_TIMEOUT:
            self.timer.failed()
        runs_on = Changes(state=State.RUNNING, cause=machine.cause, detail=failure.message)
        await self.record.conclude(runs_on | answer, before=watch.concluding)

    async def _resume(self, action: Resume, order: Changes, watch: Stopwatch) -> None:
        self._parts.require_open()
        machine = self.record.known()
        incarnation = uuid4()
        async with self._parts.capacity.held_for(machine.spec):
            watch.dequeued()
            resuming = Changes(state=State.RESUMING, cause=action.cause, detail="", incarnation=incarnation)
            await self.record.intend(order | resuming, durable=True)
            try:
                watch.mark("record")
                async with asyncio.timeout(RESUME_DEADLINE_SECONDS):
                    live = await self._parts.driver.resume(machine.spec, incarnation, watch.mark)
            except BaseException as error:
                failure = as_failure(error, Code.START_FAILED, "The sandbox could not be resumed.")
                as_before = Changes(state=State.PAUSED, cause=machine.cause, incarnation=machine.incarnation)
                outcome = Changes(detail=failure.message, stages=watch.stages)
                answer = answer_is(failure) if order else Changes()
                await self.record.conclude(as_before | outcome | answer, before=watch.concluding)
                raise failure from error
            timeout_sec = machine.timeout_sec if action.timeout_sec is None else action.timeout_sec
            await self._now_running(live, Changes(timeout_sec=timeout_sec), watch)

    async def _snapshot(self, action: Snapshot | Fork, order: Changes, watch: Stopwatch) -> None:
        machine = self.record.known()
        snapshotting = Changes(state=State.SNAPSHOTTING, cause=Cause.USER, detail="", snapshot_id=action.snapshot_id)
        await self.record.intend(order | snapshotting, durable=True)
        as_before = Changes(state=machine.state, cause=machine.cause)
        try:
            watch.mark("record")
            await keep(self._parts, machine, self.live, action, watch)
        except BaseException as error:
            failure = as_failure(error, Code.SNAPSHOT_FAILED, "The sandbox could not be snapshotted.")
            answer = answer_is(failure) | Changes(stages=watch.stages)
            if failure.code is Code.MACHINE_GONE and self.live is not None:
                live = self.live
                self._release()
                await self.record.conclude(_stopped(await _death_of(live)) | answer, before=watch.concluding)
            else:
                outcome = as_before | Changes(detail=failure.message) | answer
                await self.record.conclude(outcome, before=watch.concluding)
            raise failure from error
        self.timer.touch()
        await self.record.conclude(as_before | Changes(stages=watch.stages), before=watch.concluding)
        if isinstance(action, Snapshot):
            self._parts.templates.builds.build(action.template_id)

    async def _destroy(self, sandbox_id: UUID, order: Changes, watch: Stopwatch) -> None:
        known = self.record.machine is not None
        if known:
            deleting = Changes(state=State.DELETING, cause=Cause.USER, detail="")
            await self.record.intend(order | deleting, durable=False)
        try:
            watch.mark("record")
            await self._end_and_remove(sandbox_id, watch)
        except BaseException as error:
            failure = as_failure(error, Code.INTERNAL, "The sandbox could not be removed yet.")
            if known:
                await self.record.conclude(Changes(stages=watch.stages) | answer_is(failure), before=watch.concluding)
            raise failure from error
        deleted = order | Changes(state=State.DELETED, stages=watch.stages) | answer_is(None)
        if known:
            await self.record.conclude(deleted | process_is(None), before=watch.concluding)
        else:
            # Remembered though it was never here, so that its create is refused should it come late.
            await self.record.begin(Spec(sandbox_id, _NO_TEMPLATE, "", 0, 0, 0), deleted, durable=True)

    async def _end_and_remove(self, sandbox_id: UUID, watch: Stopwatch) -> None:
        if (live := self.live) is not None:
            self._release()
            try:
                await self._parts.driver.kill(live)
            except BaseException:
                self.hold(live)
                raise
            watch.mark("kill")
        await self._parts.driver.remove(sandbox_id)
        watch.mark("remove")

    async def _now_running(self, live: LiveMachine, changes: Changes, watch: Stopwatch) -> None:
        self.hold(live)
        running = changes | Changes(state=State.RUNNING, stages=watch.stages) | process_is(live.process)
        await self.record.conclude(running, before=watch.concluding)
        self._parts.inventory.touch(self.record.known().sandbox_id, self._parts.now())

    def _release(self) -> None:
        self.live = None
        if self._death_watch is not None:
            self._death_watch.cancel()
            self._death_watch = None

    async def _watch_death(self, live: LiveMachine) -> None:
        death = await live.died()
        self._on_death(live, death)


def _stopped(death: Death) -> Changes:
    return Changes(state=State.STOPPED, cause=death.cause, detail=death.detail) | process_is(None)


async def _death_of(live: LiveMachine) -> Death:
    try:
        async with asyncio.timeout(DEATH_KNOWN_SECONDS):
            return await live.died()
    except TimeoutError:
        return Death(Cause.CRASHED, "The machine ended.")

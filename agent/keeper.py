"""The keeper of one sandbox: one task that does what it is told, one thing after the other.

A command belongs to the keeper, not to the request that brought it: a caller that goes away changes nothing, and one
that asks again with the same generation waits for the same outcome.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from agent.drivers.driver import Death, LiveMachine
from agent.errors import AgentError, Code
from agent.failure import as_failure
from agent.lifecycle import Lifecycle
from agent.machine import (
    Action,
    Cause,
    CommandKind,
    Create,
    Destroy,
    Fork,
    Machine,
    Pause,
    Resume,
    SetTimeout,
    Snapshot,
    State,
    Verdict,
    judge,
)
from agent.parts import Parts
from agent.record import Changes, answer_is
from agent.stopwatch import Stopwatch

_log = structlog.get_logger(__name__)

COMMANDS_MAX = 8
"""Commands that wait for one sandbox, the one under way included; the control plane sends one, and maybe a delete."""

_IDLE_PAUSE = Pause(Cause.IDLE_TIMEOUT)


@dataclass(slots=True)
class _Job:
    """`generation` None: a wish of the host's own."""

    action: Action
    generation: int | None
    done: "asyncio.Future[Machine]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    since: float = field(default_factory=time.perf_counter)


@dataclass(slots=True)
class _Ended:
    """`hung`: it has not ended yet, and is to be ended."""

    live: LiveMachine
    death: Death
    hung: bool = False


class Keeper:
    """Lives while its sandbox has a machine or a command; `retired` is called when there is nothing left to keep."""

    def __init__(self, sandbox_id: UUID, parts: Parts, retired: Callable[[UUID], None]) -> None:
        self.sandbox_id = sandbox_id
        self.lifecycle = Lifecycle(sandbox_id, parts, self._on_death)
        self._parts = parts
        self._retired = retired
        self._mailbox: asyncio.Queue[_Job | _Ended] = asyncio.Queue()  # bounded by COMMANDS_MAX, and one death
        self._jobs: list[_Job] = []

    def outcomes(self) -> list["asyncio.Future[Machine]"]:
        """Of the commands that are under way or wait."""
        return [job.done for job in self._jobs]

    async def obey(self, action: Action, generation: int | None) -> Machine:
        """Does what a command says and returns the machine as it is then.

        Cancelling the caller does not cancel the command. The same generation again, at any time, does nothing twice
        and gives the same answer.

        Raises:
            AgentError: BUSY; STALE_GENERATION; INVALID: another command has this generation; WRONG_STATE;
                NO_SUCH_MACHINE; SHUTTING_DOWN; NO_CAPACITY; and what the driver raises.
        """
        job = self._join(action, generation) if generation is not None else None
        if job is None:
            if len(self._jobs) >= COMMANDS_MAX:
                raise AgentError(Code.BUSY, f"{COMMANDS_MAX} commands wait for this sandbox already.")
            job = self._take_on(action, generation)
            if isinstance(action, Destroy):
                self.lifecycle.abandon_start()
        return await asyncio.shield(job.done)

    async def set_timeout(self, timeout_sec: int, generation: int | None) -> Machine:
        """Sets the idle timeout, which counts as activity and beats an expiry at the same time: a machine that is not
        paused yet runs afterwards. The timeout of a paused or stopped one is noted only. `generation` None: not judged.

        Raises:
            AgentError: BUSY; STALE_GENERATION; WRONG_STATE; NO_SUCH_MACHINE; and, after an idle pause that could not
                be stopped any more, what a resume raises: the timeout is set then.
        """
        machine = self.lifecycle.record.machine
        beats_expiry = machine is not None and machine.state in {State.STARTING, State.RUNNING, State.PAUSING}
        self.touch()
        return await self.obey(SetTimeout(timeout_sec, beats_expiry), generation)

    @contextmanager
    def use(self) -> Iterator[LiveMachine]:
        """The machine, to run something in it: it is in use meanwhile. Raises: AgentError NO_SUCH_MACHINE, WRONG_STATE.

        A pause or an end does not wait for its users: the driver ends what they do with a typed error.
        """
        live = self.lifecycle.require_live()
        self.touch()
        try:
            with self.lifecycle.timer.use():
                yield live
        finally:
            self.touch()

    def touch(self) -> None:
        """Notes that the sandbox is in use."""
        self.lifecycle.timer.touch()
        self._parts.inventory.touch(self.sandbox_id, self._parts.now())

    @property
    def is_occupied(self) -> bool:
        """Whether a command waits or is under way."""
        return bool(self._jobs)

    def take_for_hung(self, live: LiveMachine, detail: str) -> None:
        """Ends the machine, if it is still this one, because its guest hangs; its disk is kept."""
        self._mailbox.put_nowait(_Ended(live, Death(Cause.HUNG, detail), hung=True))

    @property
    def pauses_idle(self) -> bool:
        """Whether an idle pause waits or is under way."""
        return any(job.action == _IDLE_PAUSE and job.generation is None for job in self._jobs)

    def pause_if_idle(self) -> bool:
        """Begins a pause if nothing happened for the machine's timeout and nothing else is being done with it; answers
        whether it did. Whoever comes before the pause has begun with the machine stops it."""
        if self._jobs or not self.lifecycle.is_idle():
            return False
        self._take_on(_IDLE_PAUSE, None)
        return True

    async def run(self) -> None:
        """The keeper's task, which belongs to the host."""
        try:
            await self.lifecycle.record.load()
            while not self._nothing_left():
                item = await self._mailbox.get()
                if isinstance(item, _Ended):
                    await self._on_ended(item)
                else:
                    await self._on_job(item)
        finally:
            self._retired(self.sandbox_id)
            for job in self._jobs:
                if not job.done.done():
                    job.done.set_exception(AgentError(Code.SHUTTING_DOWN, "The host's agent is stopping."))

    def _nothing_left(self) -> bool:
        return not self._jobs and self.lifecycle.live is None

    def _take_on(self, action: Action, generation: int | None) -> _Job:
        job = _Job(action, generation)
        # Nobody may be left to ask for the outcome; it is in the ledger.
        job.done.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._jobs.append(job)
        self._mailbox.put_nowait(job)
        return job

    def _join(self, action: Action, generation: int) -> _Job | None:
        """The job of the same command, if it waits or is under way."""
        for job in self._jobs:
            if job.generation == generation:
                if job.action != action:
                    raise _other_command(generation)
                return job
        newest = max((job.generation for job in self._jobs if job.generation is not None), default=generation)
        if newest > generation:
            raise _stale(generation, newest)
        return None

    def _on_death(self, live: LiveMachine, death: Death) -> None:
        self._mailbox.put_nowait(_Ended(live, death))

    async def _on_ended(self, item: _Ended) -> None:
        if self.lifecycle.live is not item.live:
            return  # a command has noticed it, or has ended the machine itself
        _log.warning(
            "machine ended",
            sandbox_id=str(self.sandbox_id),
            incarnation=str(item.live.incarnation),
            cause=item.death.cause.value,
            detail=item.death.detail,
        )
        if item.hung:
            try:
                await self._parts.driver.kill(item.live)
            except Exception:  # noqa: BLE001 - this task must outlive it
                _log.exception("a hung machine could not be ended", sandbox_id=str(self.sandbox_id))
                return  # it is tried again when it is found hung again
        await self.lifecycle.ended(item.death)

    async def _on_job(self, job: _Job) -> None:
        log = _log.bind(sandbox_id=str(self.sandbox_id), command=job.action.kind.value, generation=job.generation)
        try:
            await self._judge_and_perform(job)
            if self._parts.faults.take_again():
                await self._judge_and_perform(job)
            job.done.set_result(self.lifecycle.record.known())
            log.info("command done", milliseconds=round((time.perf_counter() - job.since) * 1000, 1))
        except BaseException as error:  # noqa: BLE001 - this task must outlive every failure of a command
            failure = as_failure(error, Code.INTERNAL, "The command failed.")
            log.warning("command refused or failed", code=failure.code.value, error=failure.message)
            job.done.set_exception(failure)
        finally:
            if job.done.done():
                self._jobs.remove(job)

    async def _judge_and_perform(self, job: _Job) -> None:
        record, action, generation = self.lifecycle.record, job.action, job.generation
        name = "auto_pause" if action == _IDLE_PAUSE else action.kind.value
        watch = Stopwatch(job.since, self._parts.faults.steps(name))
        if isinstance(action, SetTimeout):
            await self._set_timeout(action, generation, job.since)
            return
        if generation is None:
            await self._fulfil(action, watch)
            return
        if not isinstance(action, Destroy) and any(isinstance(other.action, Destroy) for other in self._jobs):
            raise AgentError(Code.STALE_GENERATION, "The sandbox is about to be deleted.")
        order = Changes(generation=generation, command=action.kind) | answer_is(None)
        match judge(record.machine, action.kind, generation):
            case Verdict.OBEY:
                await self.lifecycle.perform(action, self.sandbox_id, order, watch)
            case Verdict.ALREADY:
                await record.intend(order, durable=True)
            case Verdict.REPEAT:
                _repeat(record.known(), action)
            case Verdict.WRONG_STATE:
                # Noted, so that what was sent before it is refused should it come late.
                error = _wrong_state(record.known(), action.kind)
                await record.intend(order | answer_is(error), durable=True)
                raise error
            case Verdict.STALE:
                raise _stale(generation, record.known().generation)
            case Verdict.OTHER_COMMAND:
                raise _other_command(generation)
            case Verdict.UNKNOWN:
                raise AgentError(Code.NO_SUCH_MACHINE, "This host has no such sandbox.")

    async def _fulfil(self, action: Action, watch: Stopwatch) -> None:
        """A wish of the host's own."""
        if action == _IDLE_PAUSE and not self.lifecycle.is_idle():
            return
        machine = self.lifecycle.record.known()
        verdict = judge(machine, action.kind, machine.generation + 1)
        if verdict is Verdict.OBEY:
            await self.lifecycle.perform(action, self.sandbox_id, Changes(), watch)
        elif verdict is not Verdict.ALREADY:
            raise _wrong_state(machine, action.kind)

    async def _set_timeout(self, action: SetTimeout, generation: int | None, since: float) -> None:
        record = self.lifecycle.record
        machine = record.known()
        if machine.state is State.DELETED:
            raise AgentError(Code.NO_SUCH_MACHINE, "The sandbox was deleted.")
        if generation is not None and generation < machine.generation:
            raise _stale(generation, machine.generation)
        if machine.state in {State.FAILED, State.DELETING}:
            raise _wrong_state(machine, action.kind)
        changes = Changes(timeout_sec=action.timeout_sec)
        if generation is not None and generation > machine.generation:
            changes |= Changes(generation=generation, command=action.kind) | answer_is(None)
        await record.intend(changes, durable=True)
        if action.beats_expiry and machine.state is State.PAUSED and machine.cause is Cause.IDLE_TIMEOUT:
            resume = Resume(None, Cause.AUTO_RESUME)
            resuming = Stopwatch(since, self._parts.faults.steps(resume.kind.value))
            await self.lifecycle.perform(resume, self.sandbox_id, Changes(), resuming)


def _repeat(machine: Machine, action: Action) -> None:
    if isinstance(action, Create) and action.spec != machine.spec:
        raise _other_command(machine.generation)
    if machine.error_code:
        raise AgentError(Code(machine.error_code), machine.error_message)
    if isinstance(action, Snapshot | Fork) and action.snapshot_id != machine.snapshot_id:
        raise _other_command(machine.generation)


def _stale(generation: int, newest: int) -> AgentError:
    return AgentError(
        Code.STALE_GENERATION, f"Generation {generation} is older than {newest}, which this host knows already."
    )


def _other_command(generation: int) -> AgentError:
    return AgentError(Code.INVALID, f"Generation {generation} belongs to another command for this sandbox.")


_DONE: dict[CommandKind, str] = {
    CommandKind.CREATE: "created",
    CommandKind.PAUSE: "paused",
    CommandKind.RESUME: "resumed",
    CommandKind.START: "started",
    CommandKind.SNAPSHOT: "made a template of",
    CommandKind.FORK: "forked",
    CommandKind.SET_TIMEOUT: "given a timeout",
    CommandKind.DESTROY: "deleted",
}


def _wrong_state(machine: Machine, kind: CommandKind) -> AgentError:
    return AgentError(Code.WRONG_STATE, f"The sandbox is {machine.state.value}; it cannot be {_DONE[kind]} now.")

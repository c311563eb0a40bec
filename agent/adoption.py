"""What a new agent makes of what an earlier one left: machines that still run, and steps that were half done.

| the ledger says | its machine runs | it does not, but a complete pause is there | neither |
| --- | --- | --- | --- |
| starting (create) | ended, removed: failed | - | removed: failed |
| starting (from its disk) | ended: stopped | - | stopped |
| running | running, as it was | - | stopped |
| pausing | running, the pause failed | paused | stopped |
| snapshotting | running | paused | stopped |
| resuming | running | paused, the resume failed | stopped |
| stopping | ended: stopped | - | stopped |
| deleting | ended, removed: deleted | removed: deleted | removed: deleted |

A complete pause counts only where one had begun: what lies there beside a running machine is older than its disk. A
snapshot that is complete has succeeded, whatever became of its machine.
"""

from enum import StrEnum
from typing import assert_never

from agent.drivers.driver import Death, Driver, LiveMachine, ProcessIdentity
from agent.errors import AgentError, Code
from agent.machine import HOLDS_MACHINE, Cause, CommandKind, Machine, State
from agent.record import Changes, Record, answer_is, process_is

UNFINISHED = HOLDS_MACHINE | {State.DELETING}
"""States in which a machine may run, or something is half done."""


class Step(StrEnum):
    """What is to be done about one machine."""

    CARRY_ON = "carry_on"
    STOPPED = "stopped"
    PAUSED = "paused"
    ROLL_BACK = "roll_back"
    DELETE = "delete"


def plan(state: State, command: CommandKind, *, runs: bool, is_paused: bool) -> Step:
    """The table above."""
    match state:
        case State.STARTING:
            # A disk that was there before is never removed.
            return Step.STOPPED if command is CommandKind.START else Step.ROLL_BACK
        case State.DELETING:
            return Step.DELETE
        case State.STOPPING:
            return Step.STOPPED
        case State.RUNNING:
            return Step.CARRY_ON if runs else Step.STOPPED
        case State.PAUSING | State.SNAPSHOTTING | State.RESUMING:
            if runs:
                return Step.CARRY_ON
            return Step.PAUSED if is_paused else Step.STOPPED
        case State.PAUSED | State.STOPPED | State.FAILED | State.DELETED:
            raise ValueError(f"nothing is half done in {state}")
        case _:
            assert_never(state)


async def resolve(record: Record, driver: Driver, *, host_restarted: bool) -> LiveMachine | None:
    """Brings one machine into a settled state, records it and returns the machine if it runs.

    May be repeated after a kill in the middle. Raises: AgentError as the driver's; the record is as it was.
    """
    machine = record.known()
    live = await _adopt(driver, machine)
    is_paused = live is None and await driver.is_paused(machine.sandbox_id)
    step = plan(machine.state, machine.command, runs=live is not None, is_paused=is_paused)
    is_kept = machine.snapshot_id is not None and await driver.has_snapshot(machine.snapshot_id)
    if live is not None and step is not Step.CARRY_ON:
        await driver.kill(live)
    match step:
        case Step.CARRY_ON if live is not None:
            await _carry_on(record, machine, live, is_kept=is_kept)
            return live
        case Step.PAUSED:
            await record.conclude(_paused(machine, is_kept=is_kept) | process_is(None))
        case Step.ROLL_BACK:
            await driver.remove(machine.sandbox_id)
            error = AgentError(Code.START_FAILED, "The host's agent was stopped while the sandbox was starting.")
            failed = Changes(state=State.FAILED, cause=Cause.START_FAILED, detail=error.message)
            await record.conclude(failed | answer_is(error) | process_is(None))
        case Step.DELETE:
            await driver.remove(machine.sandbox_id)
            deleted = Changes(state=State.DELETED, detail="")
            await record.conclude(deleted | answer_is(None) | process_is(None))
        case _:
            await record.conclude(_stopped(machine, is_kept=is_kept, host_restarted=host_restarted))
    return None


async def _adopt(driver: Driver, machine: Machine) -> LiveMachine | None:
    if machine.incarnation is None:
        return None
    process = ProcessIdentity(machine.pid, machine.start_ticks) if machine.pid else None
    return await driver.adopt(machine.spec, machine.incarnation, process)


async def _carry_on(record: Record, machine: Machine, live: LiveMachine, *, is_kept: bool) -> None:
    match machine.state:
        case State.RUNNING:
            return
        case State.SNAPSHOTTING:
            changes = _snapshot_answer(is_kept=is_kept)
        case State.RESUMING:
            changes = answer_is(None) if _was_told(machine) else Changes()
        case _:
            message = "The host's agent was stopped while the sandbox was being saved; it runs on."
            changes = Changes(detail=message)
            if _was_told(machine):
                changes |= answer_is(AgentError(Code.PAUSE_FAILED, message))
    running = Changes(state=State.RUNNING, cause=Cause.REPAIRED, incarnation=live.incarnation)
    await record.conclude(running | changes | process_is(live.process))


def _snapshot_answer(*, is_kept: bool) -> Changes:
    """Of a command that makes a template or forks: it has succeeded if what it was to keep is complete."""
    if is_kept:
        return answer_is(None) | Changes(detail="")
    message = "The host's agent was stopped while the sandbox was being snapshotted: nothing was kept of it."
    return answer_is(AgentError(Code.SNAPSHOT_FAILED, message)) | Changes(detail=message)


def _paused(machine: Machine, *, is_kept: bool) -> Changes:
    if machine.state is State.SNAPSHOTTING:
        return Changes(state=State.PAUSED, cause=Cause.REPAIRED) | _snapshot_answer(is_kept=is_kept)
    if machine.state is not State.RESUMING:
        return Changes(state=State.PAUSED, detail="") | (answer_is(None) if _was_told(machine) else Changes())
    error = AgentError(Code.START_FAILED, "The host's agent was stopped while the sandbox was being resumed.")
    answer = answer_is(error) if _was_told(machine) else Changes()
    return Changes(state=State.PAUSED, cause=Cause.REPAIRED, detail=error.message) | answer


def _was_told(machine: Machine) -> bool:
    """Whether a command wanted what was half done, as against the host itself (an idle pause, and what undoes it): then
    the command gets its answer from it."""
    wanted = {State.PAUSING: CommandKind.PAUSE, State.RESUMING: CommandKind.RESUME}
    return machine.command is wanted.get(machine.state, machine.command) and machine.cause is not Cause.IDLE_TIMEOUT


def _stopped(machine: Machine, *, is_kept: bool, host_restarted: bool) -> Changes:
    if machine.state is State.STARTING:
        error = AgentError(Code.START_FAILED, "The host's agent was stopped while the sandbox was starting.")
        failed = Changes(state=State.STOPPED, cause=Cause.START_FAILED, detail=error.message)
        return failed | answer_is(error) | process_is(None)
    if host_restarted:
        death = Death(Cause.HOST_LOST, "The host was restarted while the sandbox ran.")
    else:
        death = Death(Cause.CRASHED, "Its machine ended while the host's agent was not running.")
    stopped = Changes(state=State.STOPPED, cause=death.cause, detail=death.detail)
    if machine.state is State.SNAPSHOTTING:
        stopped |= answer_is(None) if is_kept else answer_is(AgentError(Code.MACHINE_GONE, death.detail))
    elif machine.state is not State.RUNNING and _was_told(machine):
        stopped |= answer_is(AgentError(Code.MACHINE_GONE, death.detail))
    return stopped | process_is(None)

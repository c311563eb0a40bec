"""What may be done with a sandbox now, and if not, why not."""

from enum import StrEnum
from typing import NamedTuple, assert_never

from api.domain.sandbox.lifecycle import ACCEPTS_EXEC, Owner, State, sources
from api.domain.sandbox.record import UNREACHABLE, Sandbox, shown_state


class Action(StrEnum):
    """What a user can ask of a sandbox."""

    EXEC = "exec"
    WRITE_FILE = "write_file"
    READ_FILE = "read_file"
    PING = "ping"
    PAUSE = "pause"
    RESUME = "resume"
    START = "start"
    CREATE_TEMPLATE = "create_template"
    FORK = "fork"
    SET_TIMEOUT = "set_timeout"
    DELETE = "delete"


class Allowed(NamedTuple):
    """Whether an action would be accepted now; `reason` is a sentence when it would not."""

    action: Action
    allowed: bool
    reason: str | None


RESUMES = frozenset({Action.EXEC, Action.WRITE_FILE, Action.READ_FILE})
"""What resumes a paused sandbox that has `auto_resume`."""

RESUMABLE = frozenset({State.PAUSING, State.PAUSED, State.RESUMING})
"""States from which such a sandbox comes to run by itself when it is used."""

_CONDITION = {
    State.PENDING: "has not been given to a host yet",
    State.STARTING: "is still starting",
    State.RUNNING: "is running",
    State.PAUSING: "is being paused",
    State.PAUSED: "is paused",
    State.RESUMING: "is being resumed",
    State.SNAPSHOTTING: "is being snapshotted",
    State.STOPPING: "is being stopped",
    State.STOPPED: "is stopped",
    State.FAILED: "never came up",
    State.DELETING: "is being deleted",
    State.DELETED: "is deleted",
}

_TARGETS = {Action.PAUSE: State.PAUSING, Action.RESUME: State.RESUMING, Action.START: State.STARTING}

_WITHOUT_TIMEOUT = frozenset({State.FAILED, State.DELETING, State.DELETED})
"""Nothing will run any more that could be paused."""


def accepted_in(action: Action) -> frozenset[State]:
    """The states in which an action is accepted; for commands they are the guard of the write that accepts them."""
    match action:
        case Action.EXEC | Action.WRITE_FILE | Action.READ_FILE | Action.PING:
            return ACCEPTS_EXEC
        case Action.PAUSE | Action.RESUME | Action.START:
            # what is pending is started by its creation
            return sources(_TARGETS[action], Owner.API) - {State.PENDING}
        case Action.CREATE_TEMPLATE:
            return sources(State.SNAPSHOTTING, Owner.API)
        case Action.FORK:
            # what is paused has no memory that children could share; it is resumed first
            return sources(State.SNAPSHOTTING, Owner.API) & {State.RUNNING}
        case Action.SET_TIMEOUT:
            return frozenset(State) - _WITHOUT_TIMEOUT
        case Action.DELETE:
            # asking again for what is under way, or done, is not an error
            return frozenset(State)
        case _:
            assert_never(action)


def refusal(action: Action, state: State, *, reachable: bool = True, auto_resume: bool = False) -> str | None:
    """The sentence that says why an action is not possible in a state; None if it is. With `auto_resume` what is used
    while it is paused is resumed for that."""
    if action is Action.DELETE:
        return None
    if auto_resume and action in RESUMES and state in RESUMABLE:
        state = State.RUNNING
    if state not in accepted_in(action):
        return f"The sandbox {_CONDITION[state]}.{_hint(action, state)}"
    if not reachable:
        return "The sandbox's host does not answer at the moment."
    return None


def _hint(action: Action, state: State) -> str:
    if state is State.PAUSED and action not in {Action.PAUSE, Action.START}:
        return " Resume it first."
    if state is State.STOPPED and action is not Action.START:
        return " Start it first."
    if state in {State.STARTING, State.RESUMING} and action is not Action.RESUME:
        return " Try again when it runs."
    if state is State.SNAPSHOTTING:
        return " Try again in a moment."
    return ""


FOREIGN = "The sandbox belongs to another team; only that team can do this."


def allowed_actions(sandbox: Sandbox, *, foreign: bool = False) -> tuple[Allowed, ...]:
    """Every action, each with whether it would be accepted now; none of somebody who acts for another team."""
    if foreign:
        return tuple(Allowed(action, False, FOREIGN) for action in Action)
    reachable = shown_state(sandbox) != UNREACHABLE
    answers = (
        (action, refusal(action, sandbox.state, reachable=reachable, auto_resume=sandbox.auto_resume))
        for action in Action
    )
    return tuple(
        # nothing is left to delete, though asking for it is answered kindly
        Allowed(action, False, "The sandbox is deleted.")
        if sandbox.state is State.DELETED
        else Allowed(action, reason is None, reason)
        for action, reason in answers
    )

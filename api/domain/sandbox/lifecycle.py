"""The lifecycle of a sandbox: its states and the moves between them.

`MOVES` is the only place where the lifecycle is written down: who may move a sandbox from where to where, and why. The
guards in SQL, the enum in GraphQL,
`allowedActions` and the diagram in ARCHITECTURE.md derive from it or are tested against it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """What was last known of a sandbox."""

    PENDING = "pending"
    """Accepted, not yet given to a host."""
    STARTING = "starting"
    """A host is starting its machine."""
    RUNNING = "running"
    """Its machine runs and has its identity; commands are accepted."""
    PAUSING = "pausing"
    """Its memory is being saved; it still has a machine."""
    PAUSED = "paused"
    """Memory and disk are saved, there is no machine."""
    RESUMING = "resuming"
    """A machine is being started from what was saved."""
    SNAPSHOTTING = "snapshotting"
    """Memory and disk are being kept, for a template or for children; it returns to the state that it was in."""
    STOPPING = "stopping"
    """Its machine is being ended."""
    STOPPED = "stopped"
    """There is no machine and no memory; the disk is kept."""
    FAILED = "failed"
    """It never came up; only its history is left."""
    DELETING = "deleting"
    """Everything that it has is being removed."""
    DELETED = "deleted"
    """Nothing is left but its history."""


class Goal(StrEnum):
    """What the user wants of a sandbox; only the control plane writes it."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    GONE = "gone"


class Cause(StrEnum):
    """Why a sandbox is in its state."""

    USER = "user"
    IDLE_TIMEOUT = "idle_timeout"
    AUTO_RESUME = "auto_resume"
    SHUTDOWN = "shutdown"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    HUNG = "hung"
    KILLED = "killed"
    ORPHANED = "orphaned"
    HOST_LOST = "host_lost"
    START_FAILED = "start_failed"
    REPAIRED = "repaired"


class Owner(StrEnum):
    """Who may make a move."""

    API = "api"
    """A command of a user or of the system, in the transaction that accepts it."""
    HOST = "host"
    """A report of a host, or the outcome of the call to it."""


class Move(NamedTuple):
    """One edge of the lifecycle."""

    source: State
    target: State
    owner: Owner


def _moves(
    owner: Owner, sources: tuple[State, ...], targets: tuple[State, ...], causes: frozenset[Cause]
) -> dict[Move, frozenset[Cause]]:
    return {Move(source, target, owner): causes for source in sources for target in targets}


_S = State
_C = Cause
_ASKED = frozenset({_C.USER})
_IN_USE = frozenset({_C.USER, _C.AUTO_RESUME})
_UP = frozenset({_C.USER, _C.AUTO_RESUME, _C.REPAIRED})
"""A machine has come up: somebody wanted it, or a host found it running after its agent's restart."""
_STILL_UP = _UP
"""It could not be paused, so it runs for the reason that it ran for before."""
_UNASKED_PAUSE = frozenset({_C.IDLE_TIMEOUT, _C.SHUTDOWN, _C.REPAIRED})
_PAUSE = _UNASKED_PAUSE | {_C.USER}
_ENDED = frozenset(
    {_C.CRASHED, _C.OUT_OF_MEMORY, _C.HUNG, _C.KILLED, _C.ORPHANED, _C.HOST_LOST, _C.SHUTDOWN, _C.REPAIRED}
)
"""A machine has ended without being asked to."""
_NOT_UP = _ENDED | {_C.START_FAILED}
_UNDELETED = tuple(state for state in State if state not in {State.DELETING, State.DELETED})

MOVES: Mapping[Move, frozenset[Cause]] = {
    **_moves(Owner.API, (_S.PENDING,), (_S.STARTING, _S.STOPPING), _ASKED),
    **_moves(Owner.HOST, (_S.PENDING,), (_S.FAILED,), frozenset({_C.START_FAILED})),
    **_moves(Owner.HOST, (_S.STARTING,), (_S.RUNNING,), _UP),
    **_moves(Owner.HOST, (_S.STARTING,), (_S.FAILED, _S.STOPPED), _NOT_UP),
    **_moves(Owner.API, (_S.STARTING,), (_S.STOPPING,), _ASKED),
    **_moves(Owner.API, (_S.RUNNING,), (_S.PAUSING, _S.SNAPSHOTTING, _S.STOPPING), _ASKED),
    # the host pauses an idle sandbox, or all of them when it is shut down; its report may come when that is done
    **_moves(Owner.HOST, (_S.RUNNING,), (_S.PAUSING, _S.PAUSED), _UNASKED_PAUSE),
    **_moves(Owner.HOST, (_S.RUNNING,), (_S.STOPPED,), _NOT_UP),
    **_moves(Owner.HOST, (_S.PAUSING,), (_S.PAUSED,), _PAUSE),
    **_moves(Owner.HOST, (_S.PAUSING,), (_S.RUNNING,), _STILL_UP),
    **_moves(Owner.HOST, (_S.PAUSING,), (_S.STOPPED,), _NOT_UP),
    **_moves(Owner.API, (_S.PAUSED,), (_S.RESUMING,), _IN_USE),
    **_moves(Owner.API, (_S.PAUSED,), (_S.SNAPSHOTTING,), _ASKED),
    # the host was told of a longer timeout when it had just paused: it undoes that, on its own, so that there is no
    # command whose generation could guard a state in between
    **_moves(Owner.HOST, (_S.PAUSED,), (_S.RUNNING,), frozenset({_C.AUTO_RESUME})),
    **_moves(Owner.HOST, (_S.RESUMING,), (_S.RUNNING,), _UP),
    # it is paused as it was, for the reason that it was paused for before
    **_moves(Owner.HOST, (_S.RESUMING,), (_S.PAUSED,), _PAUSE),
    **_moves(Owner.HOST, (_S.RESUMING,), (_S.STOPPED,), _NOT_UP),
    **_moves(Owner.HOST, (_S.SNAPSHOTTING,), (_S.RUNNING,), _STILL_UP),
    **_moves(Owner.HOST, (_S.SNAPSHOTTING,), (_S.PAUSED,), _PAUSE),
    **_moves(Owner.HOST, (_S.SNAPSHOTTING,), (_S.STOPPED,), _NOT_UP),
    **_moves(Owner.HOST, (_S.STOPPING,), (_S.STOPPED,), _ENDED | _ASKED),
    **_moves(Owner.API, (_S.STOPPED,), (_S.STARTING,), _ASKED),
    **_moves(Owner.API, _UNDELETED, (_S.DELETING,), _ASKED),
    **_moves(Owner.HOST, (_S.DELETING,), (_S.DELETED,), _ASKED | {_C.REPAIRED}),
}
"""Every move, and the causes that it can have."""

TERMINAL = frozenset({State.DELETED})
"""States that no move leaves."""

TRANSITIONAL = frozenset(
    {State.PENDING, State.STARTING, State.PAUSING, State.RESUMING, State.SNAPSHOTTING, State.STOPPING, State.DELETING}
)
"""States that end by themselves, within a deadline."""

HOLDS_CAPACITY = frozenset(
    {State.PENDING, State.STARTING, State.RUNNING, State.PAUSING, State.RESUMING, State.SNAPSHOTTING, State.STOPPING}
)
"""States in which a sandbox holds vCPUs and memory of its host."""

HOLDS_DISK = frozenset(State) - {State.FAILED, State.DELETED}
"""States in which a sandbox has, or is to get, a disk of its own: of the others only the history is left."""

ACCEPTS_EXEC = frozenset({State.RUNNING, State.SNAPSHOTTING})
"""States in which commands run and files are read and written. While a sandbox is snapshotted its machine stands still
for some tens of milliseconds, which whoever uses it need not know; a paused one has none then, and its host says so."""

NEEDS_HOST = frozenset(State) - {State.PENDING, State.FAILED, State.DELETING, State.DELETED}
"""States that mean nothing to a user while the host does not answer: they are shown as unreachable."""

LISTED = frozenset(State) - TERMINAL
"""States of sandboxes that a list shows unless it is asked for others."""


def sources(target: State, owner: Owner, cause: Cause | None = None) -> frozenset[State]:
    """The states from which this owner may move a sandbox to `target` for this cause (None: for any): the guard of the
    write that does it."""
    return frozenset(
        move.source
        for move, causes in MOVES.items()
        if move.target is target and move.owner is owner and (cause is None or cause in causes)
    )


_DEADLINE_SECONDS = {
    State.PENDING: 30,
    State.STARTING: 120,
    State.PAUSING: 300,
    State.RESUMING: 120,
    State.SNAPSHOTTING: 600,
    State.STOPPING: 60,
    State.DELETING: 60,
}


def deadline_of(state: State) -> int | None:
    """How many seconds a state may last before somebody has to look after it; None if it lasts as long as it likes."""
    return _DEADLINE_SECONDS.get(state)

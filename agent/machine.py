"""What a machine is and how it may move. Pure: no I/O, no clock, no protobuf."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class State(StrEnum):
    """The states of a machine as this host knows them; they mean what they mean in `host.proto`."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    SNAPSHOTTING = "snapshotting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


class Cause(StrEnum):
    """Why a machine is in its state."""

    USER = "user"
    IDLE_TIMEOUT = "idle_timeout"
    AUTO_RESUME = "auto_resume"
    SHUTDOWN = "shutdown"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    ORPHANED = "orphaned"
    HOST_LOST = "host_lost"
    REPAIRED = "repaired"
    HUNG = "hung"
    KILLED = "killed"
    START_FAILED = "start_failed"


class TemplateType(StrEnum):
    """What a template consists of."""

    BASE = "base"
    """A disk that boots, known by its name: any shape."""
    SNAPSHOT = "snapshot"
    """Memory and disk of a sandbox, known by its id: the shape is fixed."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a machine is made from; it never changes, but for the timeout.

    With `snapshot_id` it is a child of a fork: it begins as what was kept under that id, not as its template.
    """

    sandbox_id: UUID
    template_id: UUID
    template_name: str
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    environment: dict[str, str] = field(default_factory=dict)
    template_type: TemplateType = TemplateType.BASE
    snapshot_id: UUID | None = None


class CommandKind(StrEnum):
    """What the control plane can tell a host to do with a sandbox."""

    CREATE = "create"
    PAUSE = "pause"
    RESUME = "resume"
    START = "start"
    SNAPSHOT = "snapshot"
    FORK = "fork"
    SET_TIMEOUT = "set_timeout"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class Create:
    """Make a machine for a sandbox that has none. `cluster_id` is the control plane that wants it, if it says so."""

    spec: Spec
    timeout_sec: int = 0
    cluster_id: UUID | None = field(default=None, compare=False)
    kind: CommandKind = CommandKind.CREATE


@dataclass(frozen=True, slots=True)
class Pause:
    """Save the machine and let it go. `cause` says who wants it; only the host itself gives another than the user."""

    cause: Cause = Cause.USER
    kind: CommandKind = CommandKind.PAUSE


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on from what was saved. `timeout_sec` None: as it was. `cause` is the user, or that it was needed."""

    timeout_sec: int | None = 0
    cause: Cause = Cause.USER
    kind: CommandKind = CommandKind.RESUME


@dataclass(frozen=True, slots=True)
class Start:
    """Boot a stopped sandbox from its kept disk."""

    timeout_sec: int = 0
    kind: CommandKind = CommandKind.START


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keep what the sandbox is now, and make a template of it in the background."""

    template_id: UUID
    template_name: str
    kind: CommandKind = CommandKind.SNAPSHOT

    @property
    def snapshot_id(self) -> UUID:
        """What is kept has the template's id: there is one for each."""
        return self.template_id


@dataclass(frozen=True, slots=True)
class Fork:
    """Keep what the sandbox is now, for children that are going to be created from it."""

    snapshot_id: UUID
    children: tuple[UUID, ...]
    kind: CommandKind = CommandKind.FORK


@dataclass(frozen=True, slots=True)
class SetTimeout:
    """Change the idle timeout. `beats_expiry`: the machine was not paused yet when this was asked for, so it runs
    afterwards, even if its idle pause could not be stopped any more."""

    timeout_sec: int
    beats_expiry: bool = field(compare=False)
    kind: CommandKind = CommandKind.SET_TIMEOUT


@dataclass(frozen=True, slots=True)
class Destroy:
    """End the machine and remove all that is of the sandbox."""

    kind: CommandKind = CommandKind.DESTROY


Action = Create | Pause | Resume | Start | Snapshot | Fork | SetTimeout | Destroy


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a command and how long it took."""

    name: str
    duration_us: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What the ledger knows of a sandbox's machine.

    `generation` and `command` are the newest that were judged; `error_code` and `error_message` are what they were
    answered with, empty after a success, so that a repetition gets the same answer. `pid` and `start_ticks` are 0
    where there is no process. Times are in UTC.
    """

    spec: Spec
    generation: int
    command: CommandKind
    state: State
    cause: Cause
    changed_at: datetime
    last_active_at: datetime
    sequence: int = 0
    detail: str = ""
    incarnation: UUID | None = None
    pid: int = 0
    start_ticks: int = 0
    timeout_sec: int = 0
    stages: tuple[Stage, ...] = ()
    error_code: str = ""
    error_message: str = ""
    snapshot_id: UUID | None = None
    """What the last snapshot or fork of it keeps, or was to keep."""
    cluster_id: UUID | None = None
    """The control plane that had it made; None if none was named."""
    auto_pause_at: datetime | None = None
    """When it is paused if nothing happens in it. Not in the ledger: it is on the clock of this run of the agent."""
    stored_bytes: int = 0
    """Blocks of its files on the host's disk when they were last looked at. Not in the ledger."""
    waits_for_room: bool = False
    """It runs, but stands still until there is room on the host's disk. Not in the ledger, which has no room either."""

    @property
    def sandbox_id(self) -> UUID:
        """The sandbox whose machine it is."""
        return self.spec.sandbox_id


_S = State
_NOT_DELETED = frozenset(State) - {State.DELETED}

MOVES: frozenset[tuple[State | None, State]] = frozenset(
    {
        (None, _S.STARTING),
        # told to delete what this host never had: only the memory of it is made
        (None, _S.DELETED),
        (_S.STARTING, _S.RUNNING),
        (_S.STARTING, _S.FAILED),
        # its disk was there before and is kept
        (_S.STARTING, _S.STOPPED),
        (_S.STOPPED, _S.STARTING),
        (_S.RUNNING, _S.PAUSING),
        (_S.RUNNING, _S.STOPPED),
        (_S.PAUSING, _S.PAUSED),
        (_S.PAUSING, _S.RUNNING),
        (_S.PAUSING, _S.STOPPED),
        (_S.PAUSED, _S.RESUMING),
        (_S.RESUMING, _S.RUNNING),
        (_S.RESUMING, _S.PAUSED),
        (_S.RESUMING, _S.STOPPED),
        (_S.RUNNING, _S.SNAPSHOTTING),
        (_S.PAUSED, _S.SNAPSHOTTING),
        (_S.SNAPSHOTTING, _S.RUNNING),
        (_S.SNAPSHOTTING, _S.PAUSED),
        (_S.SNAPSHOTTING, _S.STOPPED),
        (_S.STOPPING, _S.STOPPED),
        (_S.DELETING, _S.DELETED),
        *((state, _S.DELETING) for state in _NOT_DELETED),
    }
)
"""Every change of state that this host makes; None is a sandbox that it does not know."""

HOLDS_MACHINE = frozenset(
    {State.STARTING, State.RUNNING, State.PAUSING, State.RESUMING, State.SNAPSHOTTING, State.STOPPING}
)
"""States in which a machine uses memory of this host."""

ACCEPTS_GUEST_CALLS = frozenset({State.RUNNING})
"""States in which commands run and files are read and written."""

_OBEYED_IN: dict[CommandKind, frozenset[State]] = {
    CommandKind.CREATE: frozenset(),
    CommandKind.PAUSE: frozenset({State.RUNNING}),
    CommandKind.RESUME: frozenset({State.PAUSED}),
    CommandKind.START: frozenset({State.STOPPED}),
    CommandKind.SNAPSHOT: frozenset({State.RUNNING, State.PAUSED}),
    CommandKind.FORK: frozenset({State.RUNNING}),
    # a keeper sees to it itself: it is no move
    CommandKind.SET_TIMEOUT: frozenset(),
    CommandKind.DESTROY: _NOT_DELETED,
}

_REACHED_IN: dict[CommandKind, frozenset[State]] = {
    CommandKind.CREATE: frozenset(),
    CommandKind.PAUSE: frozenset({State.PAUSED}),
    CommandKind.RESUME: frozenset({State.RUNNING}),
    CommandKind.START: frozenset({State.RUNNING}),
    CommandKind.SNAPSHOT: frozenset(),
    CommandKind.FORK: frozenset(),
    CommandKind.SET_TIMEOUT: frozenset(),
    CommandKind.DESTROY: frozenset({State.DELETED}),
}


class Verdict(StrEnum):
    """What is to be done with a command."""

    OBEY = "obey"
    ALREADY = "already"
    """Nothing to do: it is as the command wants it. Its generation is noted."""
    REPEAT = "repeat"
    """It was judged before: the same answer again."""
    STALE = "stale"
    """A newer one was judged before."""
    OTHER_COMMAND = "other_command"
    """Another command has this generation."""
    WRONG_STATE = "wrong_state"
    UNKNOWN = "unknown"
    """There is no such sandbox here."""


def judge(machine: Machine | None, kind: CommandKind, generation: int) -> Verdict:
    """What is to be done with a command, given what is known of the sandbox while nothing is being done with it."""
    if machine is None:
        return Verdict.OBEY if kind in {CommandKind.CREATE, CommandKind.DESTROY} else Verdict.UNKNOWN
    if generation < machine.generation:
        return Verdict.STALE
    if generation == machine.generation:
        if kind is not machine.command:
            return Verdict.OTHER_COMMAND
        unfinished = kind is CommandKind.DESTROY and machine.state is not State.DELETED
        return Verdict.OBEY if unfinished else Verdict.REPEAT
    if machine.state in _REACHED_IN[kind]:
        return Verdict.ALREADY
    if machine.state in _OBEYED_IN[kind]:
        return Verdict.OBEY
    if machine.state is State.DELETED and kind is not CommandKind.CREATE:
        return Verdict.UNKNOWN
    return Verdict.WRONG_STATE

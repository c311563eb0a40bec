"""The narrow surface between the agent and what runs machines.

Two drivers ship: `qemu` (microVMs) and `simulated` (no code runs; for tests of everything above it). One conformance
suite, `tests/agent/drivers/test_conformance.py`, runs against both. A third VMM would be put behind this.

A driver remembers nothing across a restart but what is in its own files: the ledger is the agent's. It is never asked
to do two things with one sandbox at once; different sandboxes run concurrently.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from agent.machine import Cause, Spec


class Isolation(StrEnum):
    """What stands between a guest and the host."""

    HARDWARE = "hardware"
    EMULATED = "emulated"
    NONE = "none"


QUARANTINE = "quarantine"
"""Where the agent puts what `Driver.garbage` named, below the data directory: each thing under its own name, a dot and
some more, for a while in which it can be brought back."""


@dataclass(frozen=True, slots=True)
class TemplateImage:
    """A memory image that can be cloned at once. `template_id` is None for an image of a base template, which is known
    by its name; `stored_bytes` are the blocks that it takes on disk."""

    template_name: str
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    content_id: str
    template_id: UUID | None = None
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """A template that is to be made of a snapshot."""

    template_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """Clones of one template and shape that have run once and stand still until they are handed over. `handed_over` and
    `missed` count callers since the driver was opened."""

    template_name: str
    template_id: UUID | None
    vcpus: int
    memory_mb: int
    ready: int
    wanted: int
    handed_over: int
    missed: int


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something in the driver's folders that belongs to nothing it was told of: `path` below its data directory, the
    blocks that it takes, and a sentence that says what it is."""

    path: str
    stored_bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """What a driver can do on this host. `shortcomings` are sentences: what is missing and how to mend it."""

    driver: str
    isolation: Isolation
    accelerator: str
    qemu_version: str
    images: tuple[TemplateImage, ...] = ()
    shortcomings: tuple[str, ...] = ()
    pools: tuple[PoolFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Enough to prove that a process is ours: a pid alone can be somebody else's by now.

    `start_ticks` is field 22 of `/proc/PID/stat`.
    """

    pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class Death:
    """How a machine ended without being asked to."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run in a guest. An empty `cwd` is the home directory; `timeout_ms` 0 is none."""

    argv: tuple[str, ...]
    cwd: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    timeout_ms: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """The program runs, under this pid in the guest."""

    pid: int


@dataclass(frozen=True, slots=True)
class Output:
    """Some of what it printed: at most 32 KiB. `stream` is 1 for stdout and 2 for stderr."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Exited:
    """It ended, and both its outputs are at their end or were cut off by the timeout."""

    exit_code: int
    signal: int
    timed_out: bool
    duration_us: int


ExecEvent = Started | Output | Exited


class Process(Protocol):
    """A command in a guest. Iterating gives `Started`, outputs, then `Exited`; `AgentError` if it could not start or
    the machine went away. Outputs are fetched only as fast as they are read."""

    def __aiter__(self) -> AsyncIterator[ExecEvent]: ...

    async def write(self, data: bytes) -> None:
        """Gives it input; waits while it does not read. Input to one that ended is dropped."""

    async def close_stdin(self) -> None:
        """The end of its input."""

    async def close(self) -> None:
        """Kills its process group if it still runs, and forgets it. May be repeated."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A regular file in a guest; `modified_ns` since the epoch."""

    size_bytes: int
    mode: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class FileReader:
    """A file being read: what it is, and its content in chunks of at most 32 KiB."""

    info: FileInfo
    content: AsyncIterator[bytes]


class LiveMachine(Protocol):
    """A machine that runs."""

    @property
    def incarnation(self) -> UUID:
        """Which run of the sandbox this is."""

    @property
    def process(self) -> ProcessIdentity | None:
        """For the ledger; None where there is no process (the simulated driver)."""

    @property
    def waits_for_room(self) -> bool:
        """Whether it stands still because the host's disk is full. It goes on by itself when there is room; nothing in
        it answers before."""

    async def died(self) -> Death:
        """Returns when the machine ended without being asked to; any number of callers may wait, at any time."""

    async def ping(self) -> None:
        """Returns when the guest has answered. Raises: AgentError GUEST_UNRESPONSIVE, MACHINE_GONE."""

    async def exec(self, command: Command) -> Process:
        """Starts a command; whether it could be started is said by the first event."""

    async def write_file(self, path: str, mode: int, content: AsyncIterator[bytes]) -> int:
        """Writes a file, which appears under its name only when complete; returns its size in bytes. Missing folders
        are made. If `content` raises or the call is cancelled, nothing is left of it in the guest."""

    async def read_file(self, path: str, *, offset_bytes: int = 0, limit_bytes: int = 0) -> FileReader:
        """Opens a regular file. `limit_bytes` 0 is to the end. Raises: AgentError NO_SUCH_FILE, NOT_A_FILE, …"""


StageMark = Callable[[str], None]
"""Called with a stage's name at its end; the caller keeps the times."""

ProgressMark = Callable[[int], None]
"""Called now and then with how far something is, 0 to 100."""


class Driver(Protocol):
    """Runs machines on this host."""

    name: str

    async def open(self) -> None:
        """Makes ready: directories, probe of the accelerator, images. Called once, before anything else."""

    async def close(self) -> None:
        """Lets go of everything without ending a machine: they run on, to be adopted."""

    async def facts(self) -> DriverFacts:
        """What it can do here, as found out by `open`."""

    async def prepare(self, template_name: str, vcpus: int, memory_mb: int) -> TemplateImage:
        """Makes sure that a memory image of this template and shape exists, booting the template if it must.

        Concurrent calls for one image make it once. Raises: AgentError UNKNOWN_TEMPLATE, UNSUPPORTED_SHAPE,
        START_FAILED, DISK_FULL, IMAGE_MISMATCH: the disk that it would boot from is not what it was.
        """

    async def start(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """Makes a sandbox's disk and a machine on it, with its identity set: from its template, or, if `spec` names a
        snapshot, as a child of a fork. Stages: `image`, `disk`, `spawn`, `restore`, `guest`; a machine from the warm
        pool passes through them all the same. After a failure or a cancellation there is no machine and no file of it.

        The disk has `spec.disk_size_mb`, however large the template's is; a larger one is grown while the guest runs,
        before this returns.

        Raises: AgentError UNKNOWN_TEMPLATE; UNKNOWN_SNAPSHOT; UNSUPPORTED_SHAPE: not the shape of the snapshot or
            template, or a disk smaller than its own; IMAGE_MISMATCH: made with another QEMU than this host's, or
            damaged; START_FAILED, DISK_FULL, NO_CAPACITY.
        """

    async def pause(self, spec: Spec, machine: LiveMachine, stage: StageMark) -> None:
        """Saves memory and device state, then ends the machine. Stages: `stop`, `save`, `sync`, `release`.

        Raises: AgentError PAUSE_FAILED or DISK_FULL: the machine is as it was; MACHINE_GONE: it is not.
        Runs to its end once begun: cancelling the caller waits for it.
        """

    async def resume(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """A machine from the last complete pause. Stages: `verify`, `spawn`, `restore`, `guest`. After a failure what
        was saved is as it was. Raises: AgentError IMAGE_MISMATCH, START_FAILED."""

    async def boot(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """A machine that boots from a kept disk, with its identity set; what was in memory is gone, what was saved too.
        Stages: `image`, `spawn`, `guest`. After a failure or a cancellation there is no machine, and the disk is kept.

        Raises: AgentError START_FAILED, also if there is no disk; IMAGE_MISMATCH: what that stands on is damaged.
        """

    async def is_paused(self, sandbox_id: UUID) -> bool:
        """Whether a complete pause of this sandbox is there: how a restarted agent learns how far a pause came. What
        was saved counts no longer once a machine has gone on from it."""

    async def kill(self, machine: LiveMachine) -> None:
        """Ends a machine at once and returns when it is gone. Its disk is kept."""

    async def adopt(self, spec: Spec, incarnation: UUID, process: ProcessIdentity | None) -> LiveMachine | None:
        """Takes over a machine that an earlier agent started; None if it is gone. Never ends what is not provably ours.

        `process` is None when that agent was killed before it could note the process (in the middle of a start or a
        resume): the driver then looks for this incarnation in its own files. A machine found in the middle of a pause
        is let run on, and what was saved of it is discarded; one found in the middle of a resume gets its identity
        again.
        """

    async def remove(self, sandbox_id: UUID) -> None:
        """Removes every file of a sandbox that has no machine, and ends what is left of a start that was cut off, if
        it is provably of this sandbox. May be repeated."""

    async def snapshot(
        self, spec: Spec, machine: LiveMachine | None, snapshot_id: UUID, stage: StageMark, children: int = 0
    ) -> None:
        """Keeps what a sandbox is now, its memory, device state and disk, under a new id. `machine` None: it is paused,
        and stays so. One that runs stands still meanwhile, for tens of milliseconds, and runs on when this returns: the
        disk gets a new layer, nothing of it is copied. Stages: `stop`, `save`, `layer`, `continue`, `sync`: what was
        kept is durable after the last; a paused one passes through `save` and `sync` only. `children` is how many are
        going to start from it, 0 if that is not known: what they share is chosen by it, nothing else.

        Raises: AgentError SNAPSHOT_FAILED or DISK_FULL: nothing was kept, the machine is as it was; MACHINE_GONE: it
            runs no more; IMAGE_MISMATCH: what was saved of a paused one is damaged.
        Runs to its end once begun: cancelling the caller waits for it.
        """

    async def has_snapshot(self, snapshot_id: UUID) -> bool:
        """Whether a complete snapshot is kept: how a restarted agent learns how far it came."""

    async def drop_snapshot(self, snapshot_id: UUID) -> None:
        """Forgets a snapshot; disk layers of it stay as long as a sandbox stands on them. May be repeated."""

    async def make_template(self, snapshot_id: UUID, template: NewTemplate, progress: ProgressMark) -> TemplateImage:
        """Makes an image of a snapshot, beside whatever runs: pages merged, disk flattened without its holes. It stands
        on nothing else, and is there when complete or not at all. One that is there already is returned. May be
        cancelled and repeated; the snapshot stays.

        Raises: AgentError UNKNOWN_SNAPSHOT, SNAPSHOT_FAILED, DISK_FULL, IMAGE_MISMATCH: what it stands on is damaged.
        """

    async def remove_template(self, template_id: UUID) -> None:
        """Removes an image that `make_template` made, with its clones that wait in the pool. May be repeated.

        Raises: AgentError TEMPLATE_IN_USE: a sandbox or a snapshot stands on it; nothing was touched.
        """

    async def stored_bytes(self, sandbox_id: UUID) -> int:
        """The blocks that the files of a sandbox take on the host's disk: overlay, its own layers, what was saved. May
        be asked while other things are done with it."""

    async def tend(self) -> None:
        """Keeps the warm pool filled, in the background, until it is cancelled. To be run beside everything else."""

    def reclaimable_mb(self) -> int:
        """Memory, in MiB, that it uses for nobody yet and gives back to a machine that would find none otherwise. It
        counts as available."""

    async def garbage(self, sandboxes: frozenset[UUID], snapshots: frozenset[UUID]) -> tuple[Leftover, ...]:
        """What lies in its folders, belongs to none of these sandboxes and snapshots nor to an image or pool, and is
        not being made now. A machine that runs is none of it. Touches nothing."""

    async def leftovers(self) -> frozenset[UUID]:
        """Sandboxes of which files are there, whatever state they are in."""

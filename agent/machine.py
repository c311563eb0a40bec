"""What a machine is and how it may move. Pure: no I/O, no clock, no protobuf."""

from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Spec:
    """What a machine is made from; it never changes, but for the timeout."""

    sandbox_id: UUID
    template_id: UUID
    template_name: str
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    environment: dict[str, str] = field(default_factory=dict)

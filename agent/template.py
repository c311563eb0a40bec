"""Templates that are made of sandboxes on this host, and what is kept for forks. Pure: no I/O, clock or protobuf."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agent.machine import Stage


class TemplateState(StrEnum):
    """They mean what they mean in `host.proto`."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Template:
    """What the ledger knows of a template. `sandbox_id` is what it was made of; `stored_bytes` are blocks on the disk;
    the error is why it failed. `progress_percent` is not in the ledger."""

    template_id: UUID
    name: str
    state: TemplateState
    sandbox_id: UUID | None
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    changed_at: datetime
    cluster_id: str = ""
    sequence: int = 0
    stored_bytes: int = 0
    progress_percent: int = 0
    error_code: str = ""
    detail: str = ""
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptFork:
    """A snapshot for children that are still to be created from it."""

    snapshot_id: UUID
    parent_id: UUID
    children: frozenset[UUID]

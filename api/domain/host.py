"""Hosts: computers that run an agent."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Isolation(StrEnum):
    """What stands between a guest and its host."""

    HARDWARE = "hardware"
    EMULATED = "emulated"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What an agent says of its computer. `shortcomings` are sentences: what is missing and how to mend it."""

    host_id: UUID
    name: str
    agent_incarnation: str
    agent_version: str
    driver: str
    isolation: Isolation
    accelerator: str
    qemu_version: str
    cpu_count: int
    memory_total_mb: int
    memory_free_mb: int
    disk_total_mb: int
    disk_free_mb: int
    shortcomings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """A host as admins see it. `sandbox_count` counts what is not deleted."""

    id: UUID
    name: str
    address: str
    reachable: bool
    agent_version: str
    driver: str
    isolation: Isolation
    accelerator: str
    qemu_version: str
    cpu_count: int
    memory_total_mb: int
    memory_free_mb: int
    disk_total_mb: int
    disk_free_mb: int
    shortcomings: tuple[str, ...]
    last_seen_at: datetime | None
    sandbox_count: int

"""Hosts: computers that run an agent."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from api.domain.text import check_text
from api.errors import Invalid


class Isolation(StrEnum):
    """What stands between a guest and its host."""

    HARDWARE = "hardware"
    EMULATED = "emulated"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Pool:
    """Clones of one template and shape that stand ready on a host. `handed_over` and `missed` count sandboxes since its
    agent started: those that got one, and those that found none. `template_id` is None for a base template."""

    template_name: str
    template_id: UUID | None
    vcpus: int
    memory_mb: int
    ready: int
    wanted: int
    handed_over: int
    missed: int


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What an agent says of its computer. `shortcomings` are sentences: what is missing and how to mend it.
    `certificate_expires_at` is None for one that speaks without TLS."""

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
    certificate_expires_at: datetime | None = None
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True, slots=True)
class Registration:
    """What a host says that wants to join: where it can be reached, and its request for a certificate (PEM)."""

    host_id: UUID
    name: str
    address: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Host:
    """A host as admins see it. `sandbox_count` counts what is not deleted; `registered_at` is None for a host that this
    control plane was told of by its settings; `removed_at` is None for all but those that are never called again."""

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
    registered_at: datetime | None = None
    certificate_expires_at: datetime | None = None
    removed_at: datetime | None = None
    pools: tuple[Pool, ...] = ()


ADDRESS_BYTES_MAX = 300
"""A name of 255 characters, and its port."""


def check_address(address: str) -> str:
    """Where a host can be reached: `host:port`, an IPv6 address in brackets. Raises: Invalid."""
    check_text(address, "The address", max_bytes=ADDRESS_BYTES_MAX, min_bytes=1, one_line=True, path=("address",))
    host, separator, port = address.rpartition(":")
    named = re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", host)
    if not separator or named is None or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Invalid("The address must be host:port, such as 10.0.0.7:7301.", path=("address",))
    return address

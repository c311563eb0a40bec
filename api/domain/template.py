"""Templates: what sandboxes start from."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class TemplateType(StrEnum):
    """How a template can be used."""

    BASE = "base"
    """A disk that boots: any shape."""
    SNAPSHOT = "snapshot"
    """A memory image: the shape is fixed."""


DEFAULT_TEMPLATE = "base"
"""The platform's template, which every host builds for itself."""


@dataclass(frozen=True, slots=True)
class Template:
    """What sandboxes start from. `vcpus` and `memory_mb` are None where it does not fix them. MB means MiB."""

    id: UUID
    team_id: UUID
    name: str
    description: str
    type: TemplateType
    disk_size_mb: int
    vcpus: int | None
    memory_mb: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TemplateFilter:
    """All that is given must hold."""

    type: TemplateType | None = None
    name: str | None = None

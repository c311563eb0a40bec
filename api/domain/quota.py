"""Quotas: how much a team may have at once, and how often it may ask."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from api.errors import Invalid, NoCapacity

LIMIT_MAX = 2**31 - 1
"""What the columns hold."""


class Resource(StrEnum):
    """What a team has some of. What it uses is never stored: it is the sum over the rows that are there."""

    SANDBOXES = "sandboxes"
    """Those in a state of `HOLDS_DISK`."""
    VCPUS = "vcpus"
    """Of sandboxes in a state of `HOLDS_CAPACITY`: one that is paused or stopped uses none."""
    MEMORY_MB = "memory_mb"
    """As vCPUs, in MiB."""
    DISK_MB = "disk_mb"
    """The sizes of the disks of sandboxes and templates in MiB, not the blocks that they take."""
    TEMPLATES = "templates"
    """Those that are ready or being made."""
    OPERATIONS = "operations"
    """Commands that have not ended."""


_UNITS: Mapping[Resource, tuple[str, str]] = {
    Resource.SANDBOXES: ("sandbox", "sandboxes"),
    Resource.VCPUS: ("vCPU", "vCPUs"),
    Resource.MEMORY_MB: ("MiB of memory", "MiB of memory"),
    Resource.DISK_MB: ("MiB of disk", "MiB of disk"),
    Resource.TEMPLATES: ("template", "templates"),
    Resource.OPERATIONS: ("operation under way", "operations under way"),
}

Amounts = Mapping[Resource, int]
"""How much of what; nothing of what is left out."""

PLACING = frozenset({Resource.SANDBOXES, Resource.VCPUS, Resource.MEMORY_MB, Resource.DISK_MB, Resource.OPERATIONS})
"""What a new sandbox takes."""
RUNNING_AGAIN = frozenset({Resource.VCPUS, Resource.MEMORY_MB, Resource.OPERATIONS})
"""What a sandbox takes that is resumed or started; its disk is there."""
KEEPING = frozenset({Resource.TEMPLATES, Resource.DISK_MB, Resource.OPERATIONS})
"""What a new template takes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a team may have at most of each resource, and how many requests it may send in a minute to one replica.
    None: as much as there is."""

    sandboxes: int | None = None
    vcpus: int | None = None
    memory_mb: int | None = None
    disk_mb: int | None = None
    templates: int | None = None
    operations: int | None = None
    requests_per_minute: int | None = None

    def of(self, resource: Resource) -> int | None:
        """The limit of one resource."""
        limit: int | None = getattr(self, resource.value)
        return limit

    def over(self, defaults: "Limits") -> "Limits":
        """These, and the defaults where there is none."""
        mine, theirs = (
            {field.name: getattr(limits, field.name) for field in fields(Limits)} for limits in (self, defaults)
        )
        return Limits(**{name: theirs[name] if limit is None else limit for name, limit in mine.items()})


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class Quota:
    """What a team may have, and what it has."""

    limits: Limits
    used: Amounts


def check_limits(limits: Limits) -> Limits:
    """The limits, if they can be kept. Raises: Invalid."""
    for field in fields(Limits):
        value = getattr(limits, field.name)
        if value is not None and not 0 <= value <= LIMIT_MAX:
            raise Invalid(f"A limit is a number from 0 to {LIMIT_MAX:,}, not {value:,}.", path=(_camel(field.name),))
    return limits


def exceeded(quota: Quota, resources: Collection[Resource], wanted: Amounts | None = None) -> NoCapacity | None:
    """The error that says which limits a team is beyond, or would be with `wanted` more, and by how much; None if it is
    within them all. Only limits of `resources` are looked at: what takes no memory is not refused for memory."""
    over: list[str] = []
    for resource in Resource:
        limit = quota.limits.of(resource)
        total = quota.used.get(resource, 0) + (wanted or {}).get(resource, 0)
        if resource in resources and limit is not None and total > limit:
            one, many = _UNITS[resource]
            over.append(f"{total:,} {one if total == 1 else many}, {total - limit:,} more than it may have")
    if not over:
        return None
    return NoCapacity(
        f"Your team's quota does not allow this: the team would have {'; '.join(over)}. Delete or pause what is no "
        "longer needed, or ask an admin of the platform for more.",
        code="QUOTA_EXCEEDED",
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)

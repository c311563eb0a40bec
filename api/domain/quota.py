"""Quotas: how much a team may have at once, and how often it may ask."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from api.domain.sandbox.creation import Shape
from api.errors import Invalid, NoCapacity

LIMIT_MAX = 2**31 - 1
"""What the columns hold."""


class Resource(StrEnum):
    """What a team has some of. What it uses is never stored: it is the sum over the rows that are there."""

    SANDBOXES = "sandboxes"
    """Those in a state of `HOLDS_DISK`."""
    VCPUS = "vcpus"
    """Of sandboxes in a state of `HOLDS_CAPACITY`: one that is paused, stopped or being deleted uses none."""
    MEMORY_MB = "memory_mb"
    """As vCPUs, in MiB."""
    DISK_MB = "disk_mb"
    """The sizes of the disks of sandboxes and templates in MiB, and of the memory that is saved of them: not the blocks
    that they take."""
    TEMPLATES = "templates"
    """Those that are ready or being made."""
    OPERATIONS = "operations"
    """Commands that have not ended, and children of forks that wait for theirs."""


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


def taken_by_sandboxes(shape: Shape, count: int = 1) -> Amounts:
    """What new sandboxes of a shape take, and the commands that make them."""
    return {
        Resource.SANDBOXES: count,
        Resource.VCPUS: count * shape.vcpus,
        Resource.MEMORY_MB: count * shape.memory_mb,
        Resource.DISK_MB: count * shape.disk_size_mb,
        Resource.OPERATIONS: count,
    }


def taken_to_run(shape: Shape) -> Amounts:
    """What a sandbox takes that is resumed or started; its disk is there."""
    return {Resource.VCPUS: shape.vcpus, Resource.MEMORY_MB: shape.memory_mb, Resource.OPERATIONS: 1}


def taken_by_template(shape: Shape) -> Amounts:
    """What a template takes that is made of a sandbox: its disk, its memory, and the command."""
    disk_mb = shape.disk_size_mb + shape.memory_mb
    return {Resource.TEMPLATES: 1, Resource.DISK_MB: disk_mb, Resource.OPERATIONS: 1}


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
    """What a team may have, and what it has. `own` are the limits that an admin set for it; the others are defaults."""

    limits: Limits
    used: Amounts
    own: Limits = UNLIMITED


def check_limits(limits: Limits) -> Limits:
    """The limits, if they can be kept. Raises: Invalid."""
    for field in fields(Limits):
        value = getattr(limits, field.name)
        # without any request nobody of the team could do anything, nor undo it
        least = 1 if field.name == "requests_per_minute" else 0
        if value is not None and not least <= value <= LIMIT_MAX:
            sentence = f"This limit is a number from {least} to {LIMIT_MAX:,}, not {value:,}."
            raise Invalid(sentence, path=(_camel(field.name),))
    return limits


def exceeded(quota: Quota, wanted: Amounts, *, includes_it: bool = False) -> NoCapacity | None:
    """The error that says which limits a team would be beyond if it had `wanted` more, and by how much; None if it
    would be within them all. Only limits of what is wanted are looked at: what takes no memory is not refused for
    memory. `includes_it`: what the team has includes what is wanted already."""
    over: list[str] = []
    for resource in Resource:
        limit = quota.limits.of(resource)
        total = quota.used.get(resource, 0) + (0 if includes_it else wanted.get(resource, 0))
        if resource in wanted and limit is not None and total > limit:
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

"""Templates: what sandboxes start from."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from api.domain.text import check_text
from api.errors import Forbidden, Invalid
from api.ids import BASE_TEMPLATE_ID, PLATFORM_TEAM_ID


class TemplateType(StrEnum):
    """How a template can be used."""

    BASE = "base"
    """A disk that boots: any shape."""
    SNAPSHOT = "snapshot"
    """A memory image: the shape is fixed."""


class TemplateState(StrEnum):
    """How far a template is. Users see only those that are ready."""

    CREATING = "creating"
    """A host makes it; its name is taken already."""
    READY = "ready"
    """Complete: sandboxes can start from it."""
    DELETING = "deleting"
    """Its name is free; a host may still have files of it."""
    DELETED = "deleted"
    """Nothing is left of it. One that could not be made comes here too."""


DEFAULT_TEMPLATE = "base"
"""The platform's template, which every host builds for itself."""

DESCRIPTION_BYTES_MAX = 2000
RESERVED_NAMES = frozenset({DEFAULT_TEMPLATE, "platform"})
RESERVED_PREFIX = "nestbox"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Template:
    """What sandboxes start from. `vcpus` and `memory_mb` are None where it does not fix them. `stored_bytes` are the
    blocks that it takes on the disks of hosts, None where no host says so; `created_by` is an actor. MB means MiB.
    `in_use` says whether a sandbox stands on it, None where nobody looked."""

    id: UUID
    team_id: UUID
    name: str
    description: str
    type: TemplateType
    state: TemplateState
    disk_size_mb: int
    vcpus: int | None
    memory_mb: int | None
    stored_bytes: int | None
    source_sandbox_id: UUID | None
    created_by: str
    created_at: datetime
    in_use: bool | None = None


@dataclass(frozen=True, slots=True)
class TemplateFilter:
    """All that is given must hold."""

    type: TemplateType | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateHost:
    """A host that holds a template, or makes it (`is_complete` False)."""

    host_id: UUID
    host_name: str
    reachable: bool
    is_complete: bool
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """A template that can be made, of a sandbox, with everything checked but that its name is free."""

    id: UUID
    name: str
    description: str


class TemplateAction(StrEnum):
    """What a user can ask of a template."""

    DELETE = "delete"


class TemplateAllowed(NamedTuple):
    """Whether an action would be accepted now; `reason` is a sentence when it would not."""

    action: TemplateAction
    allowed: bool
    reason: str | None


def check_template_name(name: str, team_id: UUID, *, path: tuple[str, ...] = ("name",)) -> str:
    """The name, if a new template of this team may have it.

    Raises:
        Invalid: it is no name of a template. Forbidden: `TEMPLATE_NAME_RESERVED`: only the platform may use it.
    """
    if _NAME.fullmatch(name) is None:
        raise Invalid(
            "The name of a template has 1 to 63 lower-case letters, digits, dots, dashes and underscores, and begins "
            "with a letter or a digit.",
            path=path,
        )
    if team_id != PLATFORM_TEAM_ID and (name in RESERVED_NAMES or name.startswith(RESERVED_PREFIX)):
        raise name_reserved(path)
    return name


def name_reserved(path: tuple[str, ...] = ("name",)) -> Forbidden:
    """What a name of the platform's is answered with."""
    return Forbidden(
        "This name is reserved for the platform; choose another.", code="TEMPLATE_NAME_RESERVED", path=path
    )


def check_description(description: str) -> str:
    """The description, if it can be kept. Raises: Invalid."""
    return check_text(description, "The description", max_bytes=DESCRIPTION_BYTES_MAX, path=("description",))


def is_forbidden(template: Template, *, is_platform_admin: bool) -> str | None:
    """The sentence that says why somebody of its team, or an admin, may never delete a template; None if they may."""
    if template.id == BASE_TEMPLATE_ID:
        return "Sandboxes start from this template unless another is named; it cannot be deleted."
    if template.team_id == PLATFORM_TEAM_ID and not is_platform_admin:
        return "It belongs to the platform; only platform admins can delete it."
    return None


IN_USE = "Sandboxes stand on it, or a template is being made of one that did; delete them first, or wait for it."
FOREIGN = "It belongs to another team; only that team can delete it."


def template_actions(
    template: Template, *, in_use: bool, is_platform_admin: bool, team_id: UUID
) -> tuple[TemplateAllowed, ...]:
    """Every action, each with whether it would be accepted now of somebody who acts for this team."""
    reason = is_forbidden(template, is_platform_admin=is_platform_admin)
    if reason is None and template.team_id not in {team_id, PLATFORM_TEAM_ID}:
        reason = FOREIGN
    if reason is None and in_use:
        reason = IN_USE
    return (TemplateAllowed(TemplateAction.DELETE, reason is None, reason),)

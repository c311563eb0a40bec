"""What can be asked for when a sandbox is made."""

from dataclasses import dataclass
from uuid import UUID

from api.domain.environment import check_environment
from api.domain.labels import check_labels
from api.domain.template import DEFAULT_TEMPLATE, Template, TemplateType
from api.domain.text import check_text
from api.errors import Invalid

NAME_CHARACTERS_MAX = 100
TEMPLATE_NAME_BYTES_MAX = 200

VCPUS_RANGE = range(1, 64 + 1)
MEMORY_MB_RANGE = range(128, 1024 * 1024 + 1)
"""128 MiB, with which a guest just boots, to 1 TiB."""
DISK_SIZE_MB_RANGE = range(1024, 4 * 1024 * 1024 + 1)
"""1 GiB to 4 TiB, as hosts have it (`agent.checks`)."""
TIMEOUT_SEC_MAX = 30 * 24 * 3600
DEFAULT_VCPUS = 1
DEFAULT_MEMORY_MB = 512
DEFAULT_DISK_SIZE_MB = 5120


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    """A wish for a sandbox, not checked yet. Of `template_id` and `template_name` at most one is given; neither means
    the platform's `base`. Of the shape and the disk, None means the template's, or the default where it fixes none.
    Environment and labels are pairs, so that what is given twice is seen. MB means MiB."""

    template_id: UUID | None = None
    template_name: str | None = None
    name: str = ""
    vcpus: int | None = None
    memory_mb: int | None = None
    disk_size_mb: int | None = None
    timeout_sec: int = 0
    auto_resume: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    idempotency_key: str | None = None
    wait_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Creation:
    """A wish that can be granted: every field is within its limits. Whether the template allows the shape is seen when
    the template is (`check_shape`)."""

    template_id: UUID | None
    template_name: str | None
    name: str
    vcpus: int | None
    memory_mb: int | None
    disk_size_mb: int | None
    timeout_sec: int
    auto_resume: bool
    environment: dict[str, str]
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a sandbox gets."""

    vcpus: int
    memory_mb: int
    disk_size_mb: int


LEAST_SHAPE = Shape(VCPUS_RANGE.start, MEMORY_MB_RANGE.start, DISK_SIZE_MB_RANGE.start)
"""No sandbox has less."""


def check_creation(command: CreateSandbox) -> Creation:
    """The wish with every field checked.

    Raises:
        Invalid: something that can never be accepted.
    """
    if command.template_id is not None and command.template_name is not None:
        raise Invalid("Name the template by its id or by its name, not both.", path=("templateName",))
    template_name = command.template_name
    if template_name is not None:
        check_text(
            template_name, "The template's name", max_bytes=TEMPLATE_NAME_BYTES_MAX, min_bytes=1, path=("templateName",)
        )
    elif command.template_id is None:
        template_name = DEFAULT_TEMPLATE
    check_name(command.name)
    check_size(command.vcpus, VCPUS_RANGE, "vCPUs", "vcpus")
    check_size(command.memory_mb, MEMORY_MB_RANGE, "MiB of memory", "memoryMb")
    check_disk_size(command.disk_size_mb)
    check_timeout(command.timeout_sec)
    return Creation(
        template_id=command.template_id,
        template_name=template_name,
        name=command.name,
        vcpus=command.vcpus,
        memory_mb=command.memory_mb,
        disk_size_mb=command.disk_size_mb,
        timeout_sec=command.timeout_sec,
        auto_resume=command.auto_resume,
        environment=check_environment(command.environment, path=("environment",)),
        labels=check_labels(command.labels, path=("labels",)),
    )


def check_name(name: str) -> str:
    """The name of a sandbox. Raises: Invalid."""
    if len(name) > NAME_CHARACTERS_MAX:
        raise Invalid(f"The name is too long: at most {NAME_CHARACTERS_MAX} characters are accepted.", path=("name",))
    return check_text(name, "The name", max_bytes=4 * NAME_CHARACTERS_MAX, one_line=True, path=("name",))


def check_size(value: int | None, limits: range, unit: str, field: str) -> None:
    """Returns if a size that is given is within its limits. Raises: Invalid."""
    if value is not None and value not in limits:
        raise Invalid(f"A sandbox has {limits.start:,} to {limits.stop - 1:,} {unit}, not {value:,}.", path=(field,))


def check_disk_size(disk_size_mb: int | None) -> None:
    """Returns if a disk of this size is offered. Raises: Invalid."""
    check_size(disk_size_mb, DISK_SIZE_MB_RANGE, "MiB of disk", "diskSizeMb")


def check_shape(creation: Creation, template: Template) -> None:
    """Returns if sandboxes of this shape can start from a template. `api/db/commands.py` says the same in SQL.

    Raises:
        Invalid: `UNSUPPORTED_SHAPE`, with the values that the template allows.
    """
    if template.type is TemplateType.SNAPSHOT:
        for value, fixed, unit, field in (
            (creation.vcpus, template.vcpus, "vCPUs", "vcpus"),
            (creation.memory_mb, template.memory_mb, "MiB of memory", "memoryMb"),
        ):
            if value is not None and value != fixed:
                raise Invalid(
                    f"The template {template.name} holds memory, so its shape is fixed: {template.vcpus} vCPUs and "
                    f"{template.memory_mb} MiB of memory. {value:,} {unit} cannot be had of it; leave the shape out.",
                    code="UNSUPPORTED_SHAPE",
                    path=(field,),
                )
    if creation.disk_size_mb is not None:
        check_disk_holds(creation.disk_size_mb, template.disk_size_mb, f"The template {template.name}")


def shape_of(creation: Creation, template: Template) -> Shape:
    """What a sandbox would get that is made of a template. `api/db/commands.py` says the same in SQL."""
    least_disk_mb = DEFAULT_DISK_SIZE_MB if template.type is TemplateType.BASE else 0
    return Shape(
        vcpus=creation.vcpus or template.vcpus or DEFAULT_VCPUS,
        memory_mb=creation.memory_mb or template.memory_mb or DEFAULT_MEMORY_MB,
        disk_size_mb=creation.disk_size_mb or max(template.disk_size_mb, least_disk_mb),
    )


def least_shape(creation: Creation) -> Shape:
    """What a sandbox would get at the least, whatever template it is made of."""
    return Shape(
        vcpus=creation.vcpus or LEAST_SHAPE.vcpus,
        memory_mb=creation.memory_mb or LEAST_SHAPE.memory_mb,
        disk_size_mb=creation.disk_size_mb or LEAST_SHAPE.disk_size_mb,
    )


def check_disk_holds(disk_size_mb: int, needed_mb: int, what: str) -> None:
    """Returns if a disk is no smaller than that of `what` it begins as. Raises: Invalid `UNSUPPORTED_SHAPE`."""
    if disk_size_mb < needed_mb:
        raise Invalid(
            f"{what} has a disk of {needed_mb:,} MiB, which {disk_size_mb:,} MiB cannot hold: ask for at least as "
            "much, or for none.",
            code="UNSUPPORTED_SHAPE",
            path=("diskSizeMb",),
        )


def check_timeout(timeout_sec: int) -> int:
    """After how many seconds without use a sandbox is paused; 0 is never. Raises: Invalid."""
    if not 0 <= timeout_sec <= TIMEOUT_SEC_MAX:
        raise Invalid(
            f"timeoutSec is a number of seconds from 0 (never) to {TIMEOUT_SEC_MAX:,} (30 days), not {timeout_sec:,}.",
            path=("timeoutSec",),
        )
    return timeout_sec

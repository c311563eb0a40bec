"""What can be asked for when a sandbox is made."""

from dataclasses import dataclass
from uuid import UUID

from api.domain.environment import check_environment
from api.domain.labels import check_labels
from api.domain.template import DEFAULT_TEMPLATE
from api.domain.text import check_text
from api.errors import Invalid

NAME_CHARACTERS_MAX = 100
TEMPLATE_NAME_BYTES_MAX = 200

VCPUS_RANGE = range(1, 64 + 1)
MEMORY_MB_RANGE = range(128, 1024 * 1024 + 1)
"""128 MiB, with which a guest just boots, to 1 TiB."""
DISK_SIZE_MB_RANGE = range(1024, 16 * 1024 * 1024 + 1)
"""1 GiB to 16 TiB."""
TIMEOUT_SEC_MAX = 30 * 24 * 3600
DEFAULT_VCPUS = 1
DEFAULT_MEMORY_MB = 512
DEFAULT_DISK_SIZE_MB = 5120


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    """A wish for a sandbox, not checked yet. Of `template_id` and `template_name` at most one is given; neither means
    the platform's `base`. Environment and labels are pairs, so that what is given twice is seen. MB means MiB."""

    template_id: UUID | None = None
    template_name: str | None = None
    name: str = ""
    vcpus: int = DEFAULT_VCPUS
    memory_mb: int = DEFAULT_MEMORY_MB
    disk_size_mb: int = DEFAULT_DISK_SIZE_MB
    timeout_sec: int = 0
    auto_resume: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    idempotency_key: str | None = None
    wait_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Creation:
    """A wish that can be granted: every field is within its limits."""

    template_id: UUID | None
    template_name: str | None
    name: str
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    timeout_sec: int
    auto_resume: bool
    environment: dict[str, str]
    labels: dict[str, str]


def check_creation(command: CreateSandbox) -> Creation:
    """The wish with every field checked.

    Raises:
        Invalid: `INVALID` for what can never be accepted, `UNSUPPORTED_SHAPE` for what this version does not offer.
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
    if len(command.name) > NAME_CHARACTERS_MAX:
        raise Invalid(f"The name is too long: at most {NAME_CHARACTERS_MAX} characters are accepted.", path=("name",))
    check_text(command.name, "The name", max_bytes=4 * NAME_CHARACTERS_MAX, one_line=True, path=("name",))
    _check_shape(command)
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


def _check_shape(command: CreateSandbox) -> None:
    for value, limits, unit, field in (
        (command.vcpus, VCPUS_RANGE, "vCPUs", "vcpus"),
        (command.memory_mb, MEMORY_MB_RANGE, "MiB of memory", "memoryMb"),
        (command.disk_size_mb, DISK_SIZE_MB_RANGE, "MiB of disk", "diskSizeMb"),
    ):
        if value not in limits:
            raise Invalid(
                f"A sandbox has {limits.start:,} to {limits.stop - 1:,} {unit}, not {value:,}.", path=(field,)
            )
    if (command.vcpus, command.memory_mb, command.disk_size_mb) != (
        DEFAULT_VCPUS,
        DEFAULT_MEMORY_MB,
        DEFAULT_DISK_SIZE_MB,
    ):
        raise Invalid(
            f"For now every sandbox has {DEFAULT_VCPUS} vCPU, {DEFAULT_MEMORY_MB} MiB of memory and "
            f"{DEFAULT_DISK_SIZE_MB} MiB of disk; other shapes are not offered yet.",
            code="UNSUPPORTED_SHAPE",
            path=("memoryMb",),
        )


def check_timeout(timeout_sec: int) -> int:
    """After how many seconds without use a sandbox is paused; 0 is never. Raises: Invalid."""
    if not 0 <= timeout_sec <= TIMEOUT_SEC_MAX:
        raise Invalid(
            f"timeoutSec is a number of seconds from 0 (never) to {TIMEOUT_SEC_MAX:,} (30 days), not {timeout_sec:,}.",
            path=("timeoutSec",),
        )
    return timeout_sec

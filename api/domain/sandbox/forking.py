"""What can be asked for when a sandbox is forked."""

from dataclasses import dataclass
from uuid import UUID

from api.domain.environment import check_environment
from api.domain.labels import check_labels
from api.domain.sandbox.creation import check_disk_holds, check_disk_size, check_name, check_timeout
from api.domain.sandbox.record import Sandbox
from api.errors import Invalid

CHILDREN_MAX = 100
"""Of one fork; what a host takes in one call."""


@dataclass(frozen=True, slots=True)
class ForkSandbox:
    """A wish for children of a sandbox, not checked yet. What is None or left out is as the parent has it; labels and
    environment are added to the parent's, and go before them."""

    sandbox_id: UUID
    count: int = 1
    name: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    timeout_sec: int | None = None
    auto_resume: bool | None = None
    environment: tuple[tuple[str, str], ...] = ()
    disk_size_mb: int | None = None
    idempotency_key: str | None = None
    wait_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Forking:
    """Children that can be had, with all that they inherit. All of them are alike but for their ids."""

    name: str
    labels: dict[str, str]
    environment: dict[str, str]
    timeout_sec: int
    auto_resume: bool
    disk_size_mb: int


def check_forking(command: ForkSandbox) -> None:
    """Returns if every field is within its limits, whatever the parent is. Raises: Invalid."""
    if not 1 <= command.count <= CHILDREN_MAX:
        raise Invalid(f"A fork makes 1 to {CHILDREN_MAX} sandboxes, not {command.count:,}.", path=("count",))
    if command.name is not None:
        check_name(command.name)
    if command.timeout_sec is not None:
        check_timeout(command.timeout_sec)
    check_disk_size(command.disk_size_mb)
    check_environment(command.environment, path=("environment",))
    check_labels(command.labels, path=("labels",))


def inherit(command: ForkSandbox, parent: Sandbox, environment: dict[str, str]) -> Forking:
    """What the children of a parent with this environment are.

    Raises:
        Invalid: labels or environment are too many together with the parent's, or the disk is smaller than its own.
    """
    labels = parent.labels | dict(command.labels)
    variables = environment | dict(command.environment)
    disk_size_mb = parent.disk_size_mb if command.disk_size_mb is None else command.disk_size_mb
    check_disk_holds(disk_size_mb, parent.disk_size_mb, "The sandbox")
    return Forking(
        name=parent.name if command.name is None else command.name,
        labels=check_labels(tuple(labels.items()), path=("labels",)),
        environment=check_environment(tuple(variables.items()), path=("environment",)),
        timeout_sec=parent.timeout_sec if command.timeout_sec is None else command.timeout_sec,
        auto_resume=parent.auto_resume if command.auto_resume is None else command.auto_resume,
        disk_size_mb=disk_size_mb,
    )

"""What limits say, and what they let through."""

import pytest

from api.domain.quota import (
    KEEPING,
    LIMIT_MAX,
    PLACING,
    RUNNING_AGAIN,
    UNLIMITED,
    Limits,
    Quota,
    Resource,
    check_limits,
    exceeded,
)
from api.errors import Invalid

ALL = frozenset(Resource)
FULL = Quota(
    Limits(sandboxes=2, vcpus=2, memory_mb=1024, disk_mb=10_240, templates=1, operations=1),
    {
        Resource.SANDBOXES: 2,
        Resource.VCPUS: 2,
        Resource.MEMORY_MB: 1024,
        Resource.DISK_MB: 10_240,
        Resource.TEMPLATES: 1,
        Resource.OPERATIONS: 1,
    },
)


def test_what_is_within_its_limits_is_let_through() -> None:
    assert exceeded(FULL, ALL) is None
    assert exceeded(Quota(UNLIMITED, FULL.used), ALL, {Resource.VCPUS: 1 << 40}) is None


@pytest.mark.parametrize(
    ("resource", "sentence"),
    [
        (Resource.SANDBOXES, "3 sandboxes, 1 more than it may have"),
        (Resource.VCPUS, "3 vCPUs, 1 more than it may have"),
        (Resource.MEMORY_MB, "1,025 MiB of memory, 1 more than it may have"),
        (Resource.DISK_MB, "10,241 MiB of disk, 1 more than it may have"),
        (Resource.TEMPLATES, "2 templates, 1 more than it may have"),
        (Resource.OPERATIONS, "2 operations under way, 1 more than it may have"),
    ],
)
def test_the_refusal_says_what_is_missing(resource: Resource, sentence: str) -> None:
    error = exceeded(FULL, ALL, {resource: 1})
    assert error is not None
    assert (error.code, error.retryable) == ("QUOTA_EXCEEDED", True)
    assert sentence in error.message
    assert error.message.count("more than it may have") == 1


def test_a_refusal_names_every_limit_at_once() -> None:
    error = exceeded(FULL, PLACING, {Resource.SANDBOXES: 1, Resource.MEMORY_MB: 512})
    assert error is not None
    assert "3 sandboxes" in error.message
    assert "1,536 MiB of memory, 512 more" in error.message


def test_only_what_a_command_takes_is_looked_at() -> None:
    beyond = Quota(Limits(sandboxes=1, memory_mb=100, templates=0), FULL.used)
    assert exceeded(beyond, {Resource.VCPUS}) is None
    for resources, named in ((RUNNING_AGAIN, "memory"), (KEEPING, "template"), (PLACING, "sandboxes")):
        error = exceeded(beyond, resources)
        assert error is not None
        assert named in error.message
    running = exceeded(beyond, RUNNING_AGAIN)
    assert running is not None
    assert "sandboxes" not in running.message


def test_what_was_set_goes_before_the_defaults_and_nought_is_a_limit() -> None:
    assert Limits(vcpus=0, memory_mb=None).over(Limits(vcpus=4, memory_mb=512)) == Limits(vcpus=0, memory_mb=512)


@pytest.mark.parametrize("value", [-1, LIMIT_MAX + 1])
def test_a_limit_that_cannot_be_kept_is_refused(value: int) -> None:
    with pytest.raises(Invalid) as refusal:
        check_limits(Limits(requests_per_minute=value))
    assert refusal.value.path == ("requestsPerMinute",)

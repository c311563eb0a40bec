"""What limits say, and what they let through."""

import pytest

from api.domain.quota import (
    LIMIT_MAX,
    UNLIMITED,
    Limits,
    Quota,
    Resource,
    check_limits,
    exceeded,
    taken_by_sandboxes,
    taken_by_template,
    taken_to_run,
)
from api.domain.sandbox import LEAST_SHAPE, Shape
from api.errors import Invalid

NOTHING_MORE = dict.fromkeys(Resource, 0)
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
    assert exceeded(FULL, NOTHING_MORE) is None
    assert exceeded(Quota(UNLIMITED, FULL.used), {Resource.VCPUS: 1 << 40}) is None


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
    error = exceeded(FULL, {resource: 1})
    assert error is not None
    assert (error.code, error.retryable) == ("QUOTA_EXCEEDED", True)
    assert sentence in error.message
    assert error.message.count("more than it may have") == 1


def test_a_refusal_names_every_limit_at_once() -> None:
    error = exceeded(FULL, {Resource.SANDBOXES: 1, Resource.MEMORY_MB: 512})
    assert error is not None
    assert "3 sandboxes" in error.message
    assert "1,536 MiB of memory, 512 more" in error.message


def test_what_is_wanted_counts_once() -> None:
    wanted = {Resource.SANDBOXES: 1}
    assert exceeded(FULL, wanted) is not None
    assert exceeded(FULL, wanted, includes_it=True) is None


def test_only_what_a_command_takes_is_looked_at() -> None:
    beyond = Quota(Limits(sandboxes=1, memory_mb=100, templates=0), FULL.used)
    assert exceeded(beyond, {Resource.VCPUS: 1}) is None
    for wanted, named, other in (
        (taken_to_run(LEAST_SHAPE), "memory", "sandboxes"),
        (taken_by_template(LEAST_SHAPE), "template", "sandboxes"),
        (taken_by_sandboxes(LEAST_SHAPE), "sandboxes", "template"),
    ):
        error = exceeded(beyond, wanted)
        assert error is not None
        assert named in error.message
        assert other not in error.message


def test_children_take_as_much_as_so_many_sandboxes() -> None:
    assert taken_by_sandboxes(Shape(2, 512, 5120), 3) == {
        Resource.SANDBOXES: 3,
        Resource.VCPUS: 6,
        Resource.MEMORY_MB: 1536,
        Resource.DISK_MB: 15360,
        Resource.OPERATIONS: 3,
    }


def test_what_was_set_goes_before_the_defaults_and_nought_is_a_limit() -> None:
    assert Limits(vcpus=0, memory_mb=None).over(Limits(vcpus=4, memory_mb=512)) == Limits(vcpus=0, memory_mb=512)


@pytest.mark.parametrize("value", [-1, 0, LIMIT_MAX + 1])
def test_a_limit_that_cannot_be_kept_is_refused(value: int) -> None:
    with pytest.raises(Invalid) as refusal:
        check_limits(Limits(requests_per_minute=value))
    assert refusal.value.path == ("requestsPerMinute",)

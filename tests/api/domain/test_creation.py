"""What can be wished for, and what can not."""

import pytest

from api.domain.sandbox import CreateSandbox, ForkSandbox, check_creation, check_forking, check_shape, inherit
from api.domain.template import TemplateType
from api.errors import Invalid
from api.ids import new_id
from tests.api.records import a_sandbox, a_template


def test_the_default_wish_is_granted() -> None:
    creation = check_creation(CreateSandbox())
    assert (creation.template_name, creation.vcpus, creation.memory_mb, creation.disk_size_mb) == (
        "base",
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"memory_mb": 0}, "INVALID"),
        ({"memory_mb": 1 << 30}, "INVALID"),
        ({"disk_size_mb": -1}, "INVALID"),
        ({"vcpus": 1 << 62}, "INVALID"),
        ({"disk_size_mb": 1023}, "INVALID"),
        ({"vcpus": 0}, "INVALID"),
        ({"timeout_sec": 30 * 24 * 3600 + 1}, "INVALID"),
        ({"timeout_sec": -1}, "INVALID"),
        ({"timeout_sec": 1 << 31}, "INVALID"),
        ({"name": "x" * 101}, "INVALID"),
        ({"name": "a\0b"}, "INVALID"),
        ({"name": "\ud800"}, "INVALID"),
        ({"name": "two\nlines"}, "INVALID"),
        ({"labels": tuple((str(n), "") for n in range(65))}, "INVALID"),
        ({"labels": (("a", "1"), ("a", "2"))}, "INVALID"),
        ({"labels": (("", "1"),)}, "INVALID"),
        ({"environment": (("A=B", ""),)}, "INVALID"),
        ({"environment": (("1A", ""),)}, "INVALID"),
        ({"environment": (("A", "x\0"),)}, "INVALID"),
        ({"environment": (("A", "\udfff"),)}, "INVALID"),
        ({"environment": tuple((f"A{n}", "x" * 30_000) for n in range(5))}, "INVALID"),
        ({"environment": (("A", "1"), ("A", "2"))}, "INVALID"),
        ({"template_id": new_id(), "template_name": "base"}, "INVALID"),
        ({"template_name": ""}, "INVALID"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(changes: dict[str, object], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_creation(CreateSandbox(**changes))  # type: ignore[arg-type]
    assert refused.value.code == code
    assert refused.value.message.endswith(".")
    assert refused.value.path


@pytest.mark.parametrize(
    ("wish", "refused_field"),
    [
        ({}, None),
        ({"vcpus": 2, "memory_mb": 1024, "disk_size_mb": 8192}, None),
        ({"disk_size_mb": 9000}, None),
        ({"vcpus": 1}, "vcpus"),
        ({"memory_mb": 512}, "memoryMb"),
        ({"disk_size_mb": 8191}, "diskSizeMb"),
    ],
)
def test_a_template_with_memory_fixes_the_shape(wish: dict[str, int], refused_field: str | None) -> None:
    template = a_template(type=TemplateType.SNAPSHOT, vcpus=2, memory_mb=1024, disk_size_mb=8192)
    creation = check_creation(CreateSandbox(**wish))  # type: ignore[arg-type]
    if refused_field is None:
        check_shape(creation, template)
        return
    with pytest.raises(Invalid) as refused:
        check_shape(creation, template)
    assert (refused.value.code, refused.value.path) == ("UNSUPPORTED_SHAPE", (refused_field,))


def test_a_template_that_boots_takes_any_shape_and_no_smaller_disk() -> None:
    check_shape(check_creation(CreateSandbox(vcpus=64, memory_mb=128)), a_template())
    with pytest.raises(Invalid, match="5,120 MiB"):
        check_shape(check_creation(CreateSandbox(disk_size_mb=5119)), a_template())


def test_children_inherit_what_is_not_said_otherwise() -> None:
    parent = a_sandbox(name="p", labels={"a": "1", "b": "1"}, timeout_sec=60, auto_resume=True)
    alike = inherit(ForkSandbox(parent.id), parent, {"A": "1"})
    assert (alike.name, alike.labels, alike.environment) == ("p", {"a": "1", "b": "1"}, {"A": "1"})
    assert (alike.timeout_sec, alike.auto_resume, alike.disk_size_mb) == (60, True, 5120)
    wish = ForkSandbox(parent.id, name="", labels=(("b", "2"),), environment=(("B", "2"),), timeout_sec=0)
    other = inherit(wish, parent, {"A": "1", "B": "1"})
    assert (other.name, other.labels, other.environment) == ("", {"a": "1", "b": "2"}, {"A": "1", "B": "2"})
    assert other.timeout_sec == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 0},
        {"count": 101},
        {"count": -1},
        {"timeout_sec": -1},
        {"disk_size_mb": 1},
        {"name": "two\nlines"},
        {"labels": (("", "1"),)},
        {"environment": (("A=B", ""),)},
    ],
)
def test_forks_that_cannot_be_are_refused_with_a_sentence(changes: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        check_forking(ForkSandbox(new_id(), **changes))  # type: ignore[arg-type]
    assert refused.value.message.endswith(".")
    assert refused.value.path


def test_children_have_no_smaller_disk_and_not_too_many_labels() -> None:
    parent = a_sandbox(labels={f"p{number}": "" for number in range(60)})
    for wish in (
        ForkSandbox(parent.id, disk_size_mb=2048),
        ForkSandbox(parent.id, labels=tuple((f"c{number}", "") for number in range(5))),
    ):
        with pytest.raises(Invalid):
            inherit(wish, parent, {})

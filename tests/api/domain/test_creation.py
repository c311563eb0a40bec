"""What can be wished for, and what can not."""

import pytest

from api.domain.sandbox import CreateSandbox, check_creation
from api.errors import Invalid
from api.ids import new_id


def test_the_default_wish_is_granted() -> None:
    creation = check_creation(CreateSandbox())
    assert (creation.template_name, creation.vcpus, creation.memory_mb, creation.disk_size_mb) == ("base", 1, 512, 5120)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"memory_mb": 0}, "INVALID"),
        ({"memory_mb": 1 << 30}, "INVALID"),
        ({"disk_size_mb": -1}, "INVALID"),
        ({"vcpus": 1 << 62}, "INVALID"),
        ({"memory_mb": 1024}, "UNSUPPORTED_SHAPE"),
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

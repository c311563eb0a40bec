import pytest

from nestbox.setup.frontend import NODE_NEEDED, node_version


@pytest.mark.parametrize(
    ("text", "version"),
    [("v20.20.2\n", (20, 20)), ("v18.19.0", (18, 19)), ("", None), ("command not found", None), ("20.1.0", None)],
)
def test_the_version_of_node_is_read(text: str, version: tuple[int, int] | None) -> None:
    assert node_version(text) == version


def test_the_node_of_debian_12_is_too_old() -> None:
    debian_12 = node_version("v18.20.4")
    assert debian_12 is not None
    assert debian_12 < NODE_NEEDED

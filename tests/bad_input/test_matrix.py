"""The table itself: no item without a cell, no name of a test that is none, nothing repeated less without a reason."""

import ast
from collections import Counter

import pytest

from tests.bad_input.cells import REPEATS
from tests.bad_input.matrix import CELLS, COVERED, ITEMS
from tests.house.sources import ROOT

NAMED = sorted({test for covered in COVERED for test in covered.tests})


@pytest.mark.parametrize(("row", "item"), [(row, item) for row, items in ITEMS.items() for item in items])
def test_every_item_of_the_matrix_is_sent_or_tested_elsewhere(row: str, item: str) -> None:
    assert (row, item) in {(cell.row, cell.item) for cell in CELLS} | {(cell.row, cell.item) for cell in COVERED}


@pytest.mark.parametrize("named", NAMED)
def test_every_test_that_is_named_exists(named: str) -> None:
    path, _, name = named.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in functions


def test_what_is_covered_elsewhere_is_an_item_of_the_matrix() -> None:
    assert [covered for covered in COVERED if covered.item not in ITEMS[covered.row]] == []


def test_no_two_cells_have_one_name() -> None:
    assert [id_ for id_, count in Counter(cell.id for cell in CELLS).items() if count > 1] == []


def test_whatever_is_repeated_less_says_why() -> None:
    assert [cell.id for cell in CELLS if (cell.repeats < REPEATS) != bool(cell.why_fewer)] == []

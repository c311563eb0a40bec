"""What operations cost, and which cost too much."""

import time

import pytest
from graphql import OperationDefinitionNode, get_introspection_query, parse

from api.schema.costs import COST_MAX, cost_of


def _cost(text: str, **variables: object) -> int:
    document = parse(text, no_location=True)
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return cost_of(document, operation, variables)


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("{ a b }", 2),
        ("{ a { b { c } } }", 3),
        ("{ list { totalCount nodes { id name } } }", 3 + 50 * 2),
        ("{ list(first: 10) { nodes { id } } }", 2 + 10),
        ("{ list(last: 3) { edges { cursor node { id } } } }", 2 + 3 * 3),
        ("{ list(first: 1000000000) { nodes { id } } }", 2 + 100),
        ("{ list(first: " + "9" * 5000 + ") { nodes { id } } }", 2 + 100),
        ("{ list(first: 10) { nodes { inner(first: 10) { nodes { id } } } } }", 2 + 10 * (2 + 10)),
        ("{ list(first: 10) { ...f } } fragment f on C { nodes { id } edges { cursor } }", 3 + 10 + 10),
        ("{ a: list(first: 10) { ...f } b: list(first: 20) { ...f } } fragment f on C { nodes { id } }", 4 + 10 + 20),
        ("{ list(first: 10) { ... on C { nodes { id } } } }", 2 + 10),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', 1 + 3),
        ("{ nodes(ids: []) { id } }", 1),
    ],
)
def test_pages_multiply_what_stands_below_them(text: str, cost: int) -> None:
    assert _cost(text) == cost


def test_sizes_of_pages_may_be_variables() -> None:
    text = "query ($n: Int = 7, $ids: [ID!]!) { list(first: $n) { nodes { id } } nodes(ids: $ids) { id } }"
    assert _cost(text, ids=["a"]) == 2 + 7 + 2
    assert _cost(text, ids=["a", "b"], n=20) == 2 + 20 + 3
    assert _cost(text, ids=["a"], n=None) == 2 + 50 + 2
    for nonsense in (-1, "x", 1.5, {"a": 1}):
        assert 0 < _cost(text, ids=nonsense, n=nonsense) < 100


def test_the_standard_introspection_query_costs_little() -> None:
    assert _cost(get_introspection_query()) < COST_MAX / 10


def test_doubling_fragments_are_measured_in_linear_time() -> None:
    doubling = " ".join(f"fragment f{n} on Q {{ x: a {{ ...f{n + 1} }} y: a {{ ...f{n + 1} }} }}" for n in range(150))
    started = time.process_time()
    assert _cost("{ ...f0 } " + doubling + " fragment f150 on Q { a }") > 2**150
    assert time.process_time() - started < 0.5

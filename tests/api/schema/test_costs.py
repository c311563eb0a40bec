"""What operations cost, and which cost too much."""

import re
import time
from pathlib import Path

import pytest
from graphql import (
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    build_schema,
    get_introspection_query,
    parse,
)

from api.schema import costs
from api.schema.costs import COST_MAX, ITEMS_DEFAULT, STREAM_COST_MAX, cost_of
from api.schema.schema import build_schema as ours_schema

SCHEMA = build_schema(
    """
    type Query { a: Q b: Q list(first: Int, last: Int): C! nodes(ids: [ID!]!): [Q]! plain: [Q!]! }
    type Subscription { sandboxes: SandboxesReset! }
    type SandboxesReset { sandboxes: [Q!]! cursor: ID }
    type C { totalCount: Int nodes: [Q!]! edges: [E!]! }
    type E { cursor: ID node: Q! }
    type Q { id: ID name: ID a: Q b: Q c: Q x: Q y: Q labels: [Q!]! inner(first: Int): C! }
    """
)


def _cost(text: str, **variables: object) -> int:
    document = parse(text, no_location=True)
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return cost_of(SCHEMA, document, operation, variables)


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("{ a { id name } }", 3),
        ("{ a { b { id } } }", 3),
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
        ("{ plain { id name } }", 1 + 10 * 2),
        ("{ a { labels { id } } }", 2 + 10),
        ("{ list(first: -99999999) @skip(if: true) { nodes { id } } }", 2),
        ("subscription { sandboxes { cursor sandboxes { id name } } }", 3 + 1000 * 2),
        ("{ __schema { types { name fields { name } } } }", 5),
    ],
)
def test_pages_multiply_what_stands_below_them(text: str, cost: int) -> None:
    assert _cost(text) == cost


def test_sizes_of_pages_may_be_variables() -> None:
    text = "query ($n: Int = 7, $ids: [ID!]!) { list(first: $n) { nodes { id } } nodes(ids: $ids) { id } }"
    assert _cost(text, ids=["a"]) == 2 + 7 + 2
    assert _cost(text, ids=["a", "b"], n=20) == 2 + 20 + 3
    assert _cost(text, ids=["a"], n=None) == 2 + 50 + 2
    assert _cost(text, ids=["a"], n=100.0) == 2 + 100 + 2
    for nonsense in (-1, "x", 1.5, float("inf"), float("nan"), {"a": 1}):
        assert 0 < _cost(text, ids=nonsense, n=nonsense) < 100


def test_the_standard_introspection_query_costs_little() -> None:
    assert _cost(get_introspection_query()) < COST_MAX / 10


def test_doubling_fragments_are_measured_in_linear_time() -> None:
    doubling = " ".join(f"fragment f{n} on Q {{ x {{ ...f{n + 1} }} y {{ ...f{n + 1} }} }}" for n in range(150))
    started = time.process_time()
    with pytest.raises(GraphQLError) as refusal:
        _cost("{ a { ...f0 } } " + doubling + " fragment f150 on Q { id }")
    assert refusal.value.extensions == {"code": "OPERATION_TOO_COSTLY"}
    assert time.process_time() - started < 0.5


def test_what_the_dashboard_asks_for_is_far_from_the_limit() -> None:
    """Its documents, as they are generated from the code."""
    ours = ours_schema()._schema
    text = (Path(__file__).parents[3] / "frontend/src/live/documents.ts").read_text()
    documents = re.findall(r"graphql\(`(.*?)`\)", text, re.DOTALL)
    whole = next(document for document in documents if "SandboxesLive" in document)
    fragment = next(document for document in documents if "fragment SandboxRow" in document)
    document = parse(whole + fragment)
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    assert 10_000 < cost_of(ours, document, operation, {}) < STREAM_COST_MAX * 0.7


def test_every_long_list_of_ours_is_weighed_as_such() -> None:
    """A list whose length others decide has to be in the table, or to be a page."""
    ours = ours_schema()._schema
    for (type_, field), items in costs._ITEMS.items():
        found = ours.type_map[type_]
        assert isinstance(found, GraphQLObjectType)
        assert field in found.fields
        assert items > ITEMS_DEFAULT

"""Documents are measured in one walk, however their fragments nest."""

import time

import pytest
from graphql import get_introspection_query, parse

from api.schema.limits import DocumentLimits, check_limits, field_names

LIMITS = DocumentLimits()


def _code(document: str) -> str | None:
    error = check_limits(parse(document, no_location=True), LIMITS)
    return None if error is None or error.extensions is None else error.extensions["code"]


def _nested(depth: int) -> str:
    return "{" + "a{" * (depth - 1) + "a" + "}" * depth


def test_the_standard_introspection_query_is_within_the_limits() -> None:
    query = get_introspection_query(
        input_value_deprecation=True, specified_by_url=True, directive_is_repeatable=True, schema_description=True
    )

    assert _code(query) is None


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (_nested(15), None),
        (_nested(16), "DOCUMENT_TOO_DEEP"),
        ("{" + " ".join(f"x{n}: a" for n in range(20)) + "}", None),
        ("{" + " ".join(f"a{n}" for n in range(21)) + "}", "TOO_MANY_ROOT_FIELDS"),
        ("{ a {" + " ".join(f"x{n}: a" for n in range(31)) + "} }", "TOO_MANY_ALIASES"),
        ("{ a" + " @x" * 50 + "}", None),
        ("{ a" + " @x" * 51 + "}", "TOO_MANY_DIRECTIVES"),
        ("query" + " @x" * 51 + "{ a }", "TOO_MANY_DIRECTIVES"),
        ("{ ...f } fragment f on Q { " + " ".join(f"a{n}" for n in range(21)) + " }", "TOO_MANY_ROOT_FIELDS"),
        ("{ ... on Q { x: a } } ", None),
        ("query A { a } query B { " + " ".join(f"x{n}: a" for n in range(31)) + " }", "TOO_MANY_ALIASES"),
    ],
)
def test_each_limit_is_named_by_its_code(document: str, code: str | None) -> None:
    assert _code(document) == code


def test_fragments_count_wherever_they_are_spread() -> None:
    fragment = "fragment f on Q { " + " ".join(f"x{n}: a" for n in range(16)) + " }"

    assert _code("{ a { ...f } } " + fragment) is None
    assert _code("{ a { ...f } b { ...f } } " + fragment) == "TOO_MANY_ALIASES"


def test_doubling_fragments_are_measured_in_linear_time() -> None:
    doubling = " ".join(f"fragment f{n} on Q {{ x: a {{ ...f{n + 1} }} y: a {{ ...f{n + 1} }} }}" for n in range(150))
    document = parse("{ ...f0 } " + doubling + " fragment f150 on Q { a }", no_location=True)
    started = time.perf_counter()

    assert check_limits(document, LIMITS) is not None
    assert time.perf_counter() - started < 0.5


def test_cycles_of_fragments_end() -> None:
    assert _code("{ ...a } fragment a on Q { b { ...b } } fragment b on Q { a { ...a } }") is None


def test_field_names_are_found_wherever_they_stand() -> None:
    document = parse("{ a { b ... on C { d } ...f } } fragment f on G { h: i }")

    assert field_names(document) == {"a", "b", "d", "i"}

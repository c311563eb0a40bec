"""Documents are read once; what is wrong with them is said before anything runs."""

import contextlib
import time

import pytest
from graphql import GraphQLError, get_introspection_query

from api.schema.documents import REMEMBERED_DOCUMENTS_MAX, DocumentErrors, Documents, is_mutation, is_subscription
from api.schema.execution import GraphQL
from api.schema.schema import build_schema


@pytest.fixture(scope="module")
def documents() -> Documents:
    return GraphQL(build_schema()).documents


def _code(documents: Documents, text: str) -> str:
    with pytest.raises(DocumentErrors) as caught:
        documents.prepare(text)
    extensions = caught.value.errors[0].extensions
    assert extensions is not None
    return str(extensions["code"])


def test_the_same_text_is_read_once(documents: Documents) -> None:
    assert documents.prepare("{ viewer { teamId } }") is documents.prepare("{ viewer { teamId } }")


def test_no_more_than_a_number_of_documents_is_remembered() -> None:
    documents = GraphQL(build_schema()).documents
    first = documents.prepare("{ viewer { teamId } }")
    for number in range(REMEMBERED_DOCUMENTS_MAX):
        documents.prepare(f"query A{number} {{ viewer {{ teamId }} }}")

    assert documents.prepare("{ viewer { teamId } }") is not first


def test_large_documents_are_not_remembered(documents: Documents) -> None:
    text = "{ viewer { teamId } } #" + "x" * 10_000

    assert documents.prepare(text) is not documents.prepare(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{ viewer", "GRAPHQL_PARSE_FAILED"),
        ("fragment F on Query { viewer { teamId } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer { teamId } " + "a " * 2_000 + "}", "TOO_MANY_TOKENS"),
        ("{" + "a{" * 900 + "a" + "}" * 901, "DOCUMENT_TOO_DEEP"),
        ("{" + "a{" * 20 + "a" + "}" * 21, "DOCUMENT_TOO_DEEP"),
        ("{ a(b: " + "[" * 900 + "]" * 900 + ") }", "DOCUMENT_TOO_DEEP"),
        ("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
def test_what_cannot_be_executed_is_refused_with_a_code(documents: Documents, text: str, code: str) -> None:
    assert _code(documents, text) == code


@pytest.mark.parametrize(
    "text",
    [
        "{" + "a{" * 10_000,
        "{" + " ".join(f"x{n}: viewer {{ teamId }}" for n in range(10_000)) + "}",
        "{ viewer { teamId" + " @skip(if: false)" * 10_000 + "} }",
        "{ ...f0 } " + " ".join(f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(300)),
        "{ viewer { " + "teamId " * 1_900 + "} }",
    ],
    ids=["depth", "aliases", "directives", "fragments", "repeated"],
)
def test_hostile_documents_are_answered_in_less_than_a_second(documents: Documents, text: str) -> None:
    started = time.perf_counter()
    with contextlib.suppress(DocumentErrors):
        documents.prepare(text)

    assert time.perf_counter() - started < 1


def test_introspection_is_a_document_like_others(documents: Documents) -> None:
    assert documents.prepare(get_introspection_query()).operations


def test_the_operation_is_chosen_by_its_name(documents: Documents) -> None:
    document = documents.prepare(
        "query A { viewer { teamId } } mutation B { pingSandbox(input: {id: 1}) { sandbox { id } } }"
        " subscription C { sandboxes { __typename } }"
    )

    assert not is_mutation(document.operation("A"))
    assert is_mutation(document.operation("B"))
    assert is_subscription(document.operation("C"))
    for name in ("D", None):
        with pytest.raises(GraphQLError):
            document.operation(name)

"""What the documents tell people to type exists."""

import re
from pathlib import Path

import pytest
from graphql import DocumentNode, OperationDefinitionNode, build_schema, parse, validate

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_make_targets_in_documents_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = set(re.findall(r"`make ([a-z-]+)", (ROOT / name).read_text()))

    assert mentioned - targets == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_in_documents_exist(name: str) -> None:
    """Inline code that looks like a path of this repository, such as `api/db/tables.py` or `tests/house/`."""
    tops = {path.name for path in ROOT.iterdir()}
    mentioned = set(re.findall(r"`([\w.-]+/[\w./-]*)`", (ROOT / name).read_text()))
    ours = {path for path in mentioned if path.split("/")[0] in tops}

    assert [path for path in sorted(ours) if not (ROOT / path).exists() and "dist" not in path] == []


def _graphql_in(name: str) -> list[DocumentNode]:
    return [parse(block) for block in re.findall(r"```graphql\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)]


def test_the_readme_shows_graphql_that_the_schema_knows() -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text())
    documents = _graphql_in("README.md")

    assert documents, "README shows no GraphQL"
    for document in documents:
        assert all(isinstance(definition, OperationDefinitionNode) for definition in document.definitions)
        assert validate(schema, document) == []

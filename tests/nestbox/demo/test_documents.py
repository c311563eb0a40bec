from pathlib import Path

import pytest
from graphql import DocumentNode, build_schema, validate

from nestbox.demo import documents

SCHEMA = Path(__file__).parents[3] / "schema.graphql"
NAMES = sorted(name for name, value in vars(documents).items() if isinstance(value, DocumentNode))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_demo_asks_is_in_the_schema(name: str) -> None:
    document: DocumentNode = getattr(documents, name)

    assert validate(build_schema(SCHEMA.read_text()), document) == []

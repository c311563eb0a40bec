"""GraphQL: documents that are small to send and large to walk, and requests that are none."""

import json

from tests.bad_input import documents
from tests.bad_input.cells import Cell
from tests.bad_input.requests import asked, encoded, got, posted, query_cell
from tests.bad_input.senders import Answer, Senders

ROW = "GraphQL"
ONE = "{ viewer { keyName } }"


def _document(item: str, name: str, outcome: str, query: str, **variables: object) -> Cell:
    return query_cell(ROW, item, name, outcome, query, **variables)


def _raw(item: str, name: str, outcome: str, content: object) -> Cell:
    body = json.dumps(content).encode()

    async def send(senders: Senders) -> Answer:
        return await senders.http(posted(senders.place, body))

    return Cell(ROW, item, name, (outcome,), send)


async def _mutation_by_get(senders: Senders) -> Answer:
    query = f'mutation {{ deleteSandbox(input: {{id: "{senders.place.running}"}}) {{ userErrors {{ code }} }} }}'
    return await senders.http(got(senders.place, f"/graphql?query={encoded(query)}"))


async def _named_by_get(senders: Senders) -> Answer:
    """The harmless one stands first, but is not the one that is meant."""
    query = f'query A {ONE} mutation B {{ deleteSandbox(input: {{id: "{senders.place.running}"}}) {{ __typename }} }}'
    return await senders.http(got(senders.place, f"/graphql?operationName=B&query={encoded(query)}"))


async def _deep_json(senders: Senders) -> Answer:
    return await senders.http(posted(senders.place, b'{"query": "{ a }", "variables": {"a": ' + b"[" * 10_000))


async def _large(senders: Senders) -> Answer:
    query = documents.unknown_fields(1_900)
    return await senders.http(asked(senders.place, query))


DEAR = "validation finds a hundred mistakes in it, which takes 50 ms of processor time"
CELLS = (
    _document("depth 10,000", "fields", "200 DOCUMENT_TOO_DEEP", documents.deep_fields(10_000)),
    _document("depth 10,000", "fields that are never closed", "200 DOCUMENT_TOO_DEEP", "{" * 10_000),
    _document("depth 10,000", "lists", "200 DOCUMENT_TOO_DEEP", documents.deep_lists(10_000)),
    _document("depth 10,000", "lists in a type", "200 DOCUMENT_TOO_DEEP", f"query ($a: {'[' * 10_000}Int) {ONE}"),
    _document("depth 10,000", "brackets that close nothing", "200 TOO_MANY_TOKENS", "}" * 10_000),
    Cell(ROW, "depth 10,000", "of JSON", ("400 MALFORMED_JSON",), _deep_json),
    _document("10,000 aliases", "at the root", "200 TOO_MANY_TOKENS", documents.aliases(10_000)),
    _document("10,000 aliases", "as many as there are tokens", "200 TOO_MANY_ALIASES", documents.aliases(300)),
    _document("10,000 directives", "at a field", "200 TOO_MANY_TOKENS", documents.directives(10_000)),
    _document("10,000 directives", "as many as there are tokens", "200 TOO_MANY_DIRECTIVES", documents.directives(250)),
    _document("fragment cycle", "of one", "200 GRAPHQL_VALIDATION_FAILED", documents.cycle(1)),
    _document("fragment cycle", "of two", "200 GRAPHQL_VALIDATION_FAILED", documents.cycle(2)),
    _document("doubling fragments", "k = 30", "200 TOO_MANY_ROOT_FIELDS", documents.doubling_fragments(30)),
    _document("doubling fragments", "with fields, k = 30", "200 DOCUMENT_TOO_DEEP", documents.doubling_fields(30)),
    _raw("batch", "of one", "400 BATCHING_NOT_SUPPORTED", [{"query": ONE}]),
    _raw("batch", "of 10,000", "400 BATCHING_NOT_SUPPORTED", [{"query": ONE}] * 10_000),
    _raw("batch", "of none", "400 BATCHING_NOT_SUPPORTED", []),
    Cell(ROW, "mutation by GET", "alone", ("405 METHOD_NOT_ALLOWED",), _mutation_by_get),
    Cell(ROW, "mutation by GET", "beside a query", ("405 METHOD_NOT_ALLOWED",), _named_by_get),
    Cell(ROW, "mistakes", "1,900 fields that no type has", ("200 GRAPHQL_VALIDATION_FAILED",), _large, 20, DEAR),
    _document("mistakes", "an operation that is not there", "200 BAD_USER_INPUT", f"query A {ONE} query B {ONE}"),
    _document("mistakes", "a subscription by POST", "400 BAD_REQUEST", "subscription { sandboxes { __typename } }"),
    _document("mistakes", "a text that does not end", "200 GRAPHQL_PARSE_FAILED", '{ sandbox(id: "'),
    _raw("mistakes", "no document", "400 BAD_REQUEST", {"query": {}}),
    _raw("mistakes", "variables in a list", "400 BAD_REQUEST", {"query": ONE, "variables": []}),
)

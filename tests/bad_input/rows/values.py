"""Values: what fits no text, no number, no id and no cursor."""

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.bad_input.cells import Cell
from tests.bad_input.place import UNKNOWN, Place
from tests.bad_input.requests import command_cell, encoded, got, posted, query_cell
from tests.bad_input.senders import Answer, Senders

ROW = "Values"
SANDBOX = "query ($id: ID!) { sandbox(id: $id) { id } }"
NODE = "query ($id: ID!) { node(id: $id) { id } }"
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
LIST = """query ($first: Int, $last: Int, $after: String, $before: String, $filter: SandboxFilter) {
    sandboxes(first: $first, last: $last, after: $after, before: $before, filter: $filter) { totalCount } }"""
TEMPLATES = "query ($first: Int, $after: String) { templates(first: $first, after: $after) { totalCount } }"
REFUSED = "200 BAD_USER_INPUT"


def _query(item: str, title: str, outcome: str, query: str, /, **variables: Any) -> Cell:
    return query_cell(ROW, item, title, outcome, query, **variables)


def _command(item: str, title: str, outcome: str, command: str, /, **given: Any) -> Cell:
    return command_cell(ROW, item, title, outcome, command, **given)


def _json(item: str, name: str, outcome: str, variables: str, query: str = SANDBOX) -> Cell:
    """Variables as no library would write them."""
    body = f'{{"query": {json.dumps(query)}, "variables": {variables}}}'.encode()

    async def send(senders: Senders) -> Answer:
        return await senders.http(posted(senders.place, body))

    return Cell(ROW, item, name, (outcome,), send)


def _file(item: str, name: str, outcome: str, address: str | Callable[[Place], str]) -> Cell:
    async def send(senders: Senders) -> Answer:
        return await senders.http(got(senders.place, address(senders.place) if callable(address) else address))

    return Cell(ROW, item, name, (outcome,), send)


def _cursor(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


TEXTS = (
    _query("NUL", "in an id", "200 MALFORMED_ID", SANDBOX, id="sb-\0"),
    _query("NUL", "in a filter", "200 INVALID", LIST, filter={"nameContains": "a\0b"}),
    _query("NUL", "in a label to look for", "200 INVALID", LIST, filter={"labels": [{"key": "a\0", "value": ""}]}),
    _query("NUL", "in a cursor", "200 INVALID", LIST, after="\0"),
    _command("NUL", "in a name", "200 INVALID", "createSandbox", name="a\0b"),
    _command("NUL", "in an idempotency key", "200 INVALID", "createSandbox", idempotencyKey="\0"),
    _command(
        "NUL",
        "in a description",
        "200 INVALID",
        "createTemplate",
        name="mine",
        description="\0",
        sandboxId=lambda place: place.running,
    ),
    _file(
        "NUL",
        "in the id of an address",
        "400 MALFORMED_ID",
        lambda place: f"/sandboxes/{place.running}%00/files?path=/x",
    ),
    _json("lone surrogate", "in an id", "400 MALFORMED_JSON", '{"id": "\\ud800"}'),
    _json("lone surrogate", "the second half", "400 MALFORMED_JSON", '{"id": "a\\udfffb"}'),
    _json("lone surrogate", "before a letter", "400 MALFORMED_JSON", '{"id": "\\ud83d\\u0041"}'),
    _query("lone surrogate", "in a document", "200 GRAPHQL_PARSE_FAILED", r'{ sandbox(id: "\ud800") { id } }'),
    _query("lone surrogate", "beyond Unicode", "200 GRAPHQL_PARSE_FAILED", r'{ sandbox(id: "\u{110000}") { id } }'),
)

NUMBERS = (
    _json("NaN", "in JSON", "400 MALFORMED_JSON", '{"first": NaN}', LIST),
    _json("NaN", "infinite", "400 MALFORMED_JSON", '{"first": Infinity}', LIST),
    _json("NaN", "too large for any number", "400 MALFORMED_JSON", '{"first": 1e400}', LIST),
    _query("NaN", "in a document", "200 GRAPHQL_VALIDATION_FAILED", "{ sandboxes(first: NaN) { totalCount } }"),
    _query("NaN", "as a text", REFUSED, LIST, first="NaN"),
    _query("NaN", "half a number", REFUSED, LIST, first=1.5),
    _query("2^63", "as a variable", REFUSED, LIST, first=2**63),
    _query("2^63", "just too large for 32 bits", REFUSED, LIST, first=2**31),
    _query("2^63", "below nothing", REFUSED, LIST, first=-(2**63) - 1),
    _query(
        "2^63",
        "in a document",
        "200 GRAPHQL_VALIDATION_FAILED",
        "{ sandboxes(first: 9223372036854775808) { totalCount } }",
    ),
    _query("2^63", "as an id", "200 MALFORMED_ID", SANDBOX, id=2**63),
    _command("2^63", "of memory", REFUSED, "createSandbox", memoryMb=2**63),
    _command(
        "2^63", "seconds without use", REFUSED, "setSandboxTimeout", timeoutSec=2**63, id=lambda place: place.running
    ),
    _command(
        "2^63",
        "seconds of a command",
        "200 INVALID",
        "exec",
        argv=["true"],
        timeoutSec=2**63,
        sandboxId=lambda place: place.running,
    ),
    _query("page size 0", "forwards", "200 INVALID", LIST, first=0),
    _query("page size 0", "backwards", "200 INVALID", LIST, last=0),
    _query("page size 0", "of templates", "200 INVALID", TEMPLATES, first=0),
    _query("page size 10^9", "forwards", "200 INVALID", LIST, first=10**9),
    _query("page size 10^9", "backwards", "200 INVALID", LIST, last=10**9),
    _query("page size 10^9", "of templates", "200 INVALID", TEMPLATES, first=10**9),
)

IDS = (
    _query("foreign id", "of a sandbox", "200 null", SANDBOX, id=lambda place: place.foreign),
    _query("foreign id", "of a template", "200 null", NODE, id=lambda place: place.foreign_template),
    _query("foreign id", "unknown to all", "200 null", SANDBOX, id=f"sb-{UNKNOWN}"),
    _command("foreign id", "of a sandbox", "200 NOT_FOUND", "pauseSandbox", id=lambda place: place.foreign),
    _command("foreign id", "of a sandbox", "200 NOT_FOUND", "deleteSandbox", id=lambda place: place.foreign),
    _command(
        "foreign id", "of a sandbox", "200 NOT_FOUND", "exec", argv=["true"], sandboxId=lambda place: place.foreign
    ),
    _command("foreign id", "of a template", "200 NOT_FOUND", "deleteTemplate", id=lambda place: place.foreign_template),
    _file(
        "foreign id", "of a sandbox's file", "404 NOT_FOUND", lambda place: f"/sandboxes/{place.foreign}/files?path=/x"
    ),
    _command("deleted id", "it is gone", "200 WRONG_STATE", "pauseSandbox", id=lambda place: place.deleted),
    _command(
        "deleted id", "it is gone", "200 WRONG_STATE", "exec", argv=["true"], sandboxId=lambda place: place.deleted
    ),
    _file("deleted id", "a file", "409 WRONG_STATE", lambda place: f"/sandboxes/{place.deleted}/files?path=/x"),
    _query("malformed id", "empty", "200 MALFORMED_ID", SANDBOX, id=""),
    _query("malformed id", "100,000 characters", "200 MALFORMED_ID", SANDBOX, id="x" * 100_000),
    _query("malformed id", "in capitals", "200 MALFORMED_ID", SANDBOX, id=f"sb-{UNKNOWN.upper()}"),
    _query("malformed id", "of something else", "200 WRONG_KIND_OF_ID", SANDBOX, id=f"tpl-{UNKNOWN}"),
    _query("malformed id", "any", "200 MALFORMED_ID", NODE, id="' OR 1=1; --"),
    _query("malformed id", "10,000 of them", "200 INVALID", NODES, ids=["x"] * 10_000),
    _command("malformed id", "empty", "200 MALFORMED_ID", "deleteSandbox", id=""),
    _command("malformed id", "of something else", "200 WRONG_KIND_OF_ID", "deleteSandbox", id=f"tpl-{UNKNOWN}"),
    _file(
        "malformed id",
        "in an address",
        "404 NOT_FOUND",
        f"/sandboxes/{encoded('../../x')}/files?path=/x",
    ),
    _query("forged cursor", "nonsense", "200 INVALID", LIST, after="nonsense"),
    _query("forged cursor", "too short", "200 INVALID", LIST, before=_cursor(b"short")),
    _query("forged cursor", "100,000 characters", "200 INVALID", LIST, after="A" * 100_000),
    _query("forged cursor", "SQL", "200 INVALID", LIST, after=_cursor(b"' OR 1=1; --")),
    _query("forged cursor", "of no row", "200 OK", LIST, after=_cursor(b"\xff" * 16)),
    _query("forged cursor", "of templates", "200 INVALID", TEMPLATES, after="é"),
)

CELLS = TEXTS + NUMBERS + IDS

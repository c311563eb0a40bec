"""Requests as bytes, as the API would accept them but for what is bad in them."""

import json
from typing import Any
from urllib.parse import quote

from tests.bad_input.cells import REPEATS, Cell
from tests.bad_input.place import Place
from tests.bad_input.senders import Answer, Senders

AUDITED = "each is written to the audit log, which costs some milliseconds of PostgreSQL"
AUDITED_REPEATS = 20
JSON = "application/json"


def head(place: Place, start: str, *lines: str, key: bool = True) -> bytes:
    """The head of a request, without the empty line that ends it."""
    known = [f"Authorization: Bearer {place.key}"] if key else []
    return "\r\n".join([f"{start} HTTP/1.1", "Host: x", *known, *lines, ""]).encode()


def posted(place: Place, body: bytes, *lines: str, to: str = "/graphql", key: bool = True) -> bytes:
    """A POST with this body, which says that it is JSON."""
    length = f"Content-Length: {len(body)}"
    return head(place, f"POST {to}", f"Content-Type: {JSON}", length, *lines, key=key) + b"\r\n" + body


def asked(place: Place, query: str, variables: dict[str, Any] | None = None) -> bytes:
    """A document with its variables."""
    return posted(place, json.dumps({"query": query, "variables": variables}).encode())


def got(place: Place, address: str) -> bytes:
    """A GET."""
    return head(place, f"GET {address}") + b"\r\n"


def encoded(text: str) -> str:
    """A text as a part of an address."""
    return quote(text, safe="")


def mutation(name: str) -> str:
    """A mutation of one input, and nothing of it but what was wrong."""
    type_ = name[0].upper() + name[1:] + "Input"
    return f"mutation ($input: {type_}!) {{ {name}(input: $input) {{ userErrors {{ code message path }} }} }}"


def query_cell(row: str, item: str, title: str, outcome: str, query: str, /, **variables: Any) -> Cell:
    """A cell that sends a document. Variables may be made of the place: `lambda place: place.foreign`."""

    async def send(senders: Senders) -> Answer:
        return await senders.http(asked(senders.place, query, _of(senders.place, variables)))

    return Cell(row, item, title, (outcome,), send)


def command_cell(row: str, item: str, title: str, outcome: str, command: str, /, **given: Any) -> Cell:
    """A cell that sends a mutation with this input."""
    document = mutation(command)

    async def send(senders: Senders) -> Answer:
        return await senders.http(asked(senders.place, document, {"input": _of(senders.place, given)}))

    # what does not fit the schema is refused before anybody could have meant to change something
    repeats, why = (REPEATS, "") if outcome == "200 BAD_USER_INPUT" else (AUDITED_REPEATS, AUDITED)
    return Cell(row, item, f"{command}: {title}", (outcome,), send, repeats, why)


def _of(place: Place, given: dict[str, Any]) -> dict[str, Any]:
    return {name: value(place) if callable(value) else value for name, value in given.items()}

"""WebSocket: clients that keep to no protocol, or to another."""

import json
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from api.http.socket_operations import OPERATIONS_PER_CONNECTION_MAX
from tests.bad_input import documents
from tests.bad_input.cells import Cell
from tests.bad_input.senders import Answer, Senders, closed

ROW = "WebSocket"
STREAM = "subscription { sandboxes { __typename } }"
SUBSCRIPTIONS = 10_000
OPENS = "each opens a WebSocket"
OPENS_REPEATS = 15


def _said(item: str, name: str, outcome: str, *messages: str | bytes, init: bool = True, **options: Any) -> Cell:
    async def send(senders: Senders) -> Answer:
        return await senders.said(*messages, init=init, **options)

    return Cell(ROW, item, name, (outcome,), send, OPENS_REPEATS, OPENS)


def _message(type_: str, **more: Any) -> str:
    return json.dumps({"type": type_, **more})


def _subscribe(query: str, id_: str = "1") -> str:
    return _message("subscribe", id=id_, payload={"query": query})


async def _subscriptions(senders: Senders) -> Answer:
    """All at once on one connection; it lives on, and those that it took are ended with it."""
    async with senders.socket() as socket:
        for number in range(SUBSCRIPTIONS):
            await socket.send(id=str(number), type="subscribe", payload={"query": STREAM})
        codes = set()
        refused = 0
        while refused < SUBSCRIPTIONS - OPERATIONS_PER_CONNECTION_MAX:
            message = await socket.receive()
            if message["type"] == "error":
                refused += 1
                codes.add(message["payload"][0]["extensions"]["code"])
        await socket.send(type="ping")
        while (await socket.receive())["type"] != "pong":
            pass
        return Answer(f"error {' '.join(sorted(codes))}")


def _operation(item: str, name: str, outcome: str, query: str) -> Cell:
    async def send(senders: Senders) -> Answer:
        async with senders.socket() as socket:
            await socket.subscribe(query)
            message = await socket.receive()
            return Answer(f"{message['type']} {message['payload'][0]['extensions']['code']}", json.dumps(message))

    return Cell(ROW, item, name, (outcome,), send, OPENS_REPEATS, OPENS)


async def _compressed(senders: Senders) -> Answer:
    """A frame that says that it is compressed, which nobody agreed on."""
    async with senders.socket() as socket:
        # by hand: the library would not send it. Text, the first reserved bit, four bytes under a mask of zeros
        socket.connection.transport.write(b"\xc1\x84\0\0\0\0\xaa\xaa\xaa\xaa")
        return await closed(socket.connection)


async def _goes_away(senders: Senders) -> Answer:
    """In the middle of many operations, without a word."""
    async with senders.socket() as socket:
        for number in range(OPERATIONS_PER_CONNECTION_MAX):
            await socket.subscribe(STREAM, id_=str(number))
        socket.connection.transport.abort()
        with suppress(ConnectionClosed):
            await socket.receive()
        return Answer("gone")


SUBSCRIBED = ("error TOO_MANY_OPERATIONS", "error TOO_MANY_OPERATIONS UNAVAILABLE")
"""A hundred streams that begin at once may find no connection of the database in time; they are told to try again."""
OLD = [Subprotocol("graphql-ws")]
CELLS = (
    _said("no init", "an operation first", "close 4401", _subscribe(STREAM), init=False),
    _said("no init", "without a key", "close 4403", _message("connection_init"), init=False),
    _said(
        "no init",
        "with a wrong key",
        "close 4403",
        _message("connection_init", payload={"authorization": "x"}),
        init=False,
    ),
    _said(
        "no init",
        "with a key that is no text",
        "close 4400",
        _message("connection_init", payload={"authorization": 1}),
        init=False,
    ),
    _said("double init", "twice", "close 4429", _message("connection_init")),
    _said("double init", "10,000 times", "close 4429", *[_message("connection_init")] * 1_000),
    _said("old subprotocol", "graphql-ws", "close 4406", init=False, subprotocols=OLD),
    _said("old subprotocol", "none", "close 4406", init=False, subprotocols=None),
    _said("foreign Origin", "another site", "403", init=False, origin=Origin("https://evil.example")),
    _said("foreign Origin", "null", "403", init=False, origin=Origin("null")),
    _said("foreign Origin", "no address", "403", init=False, origin=Origin("http://[")),
    Cell(ROW, "10,000 subscriptions", "at once", SUBSCRIBED, _subscriptions, 2, "each takes a second"),
    Cell(ROW, "10,000 subscriptions", "and gone", ("gone",), _goes_away, 20, "each begins a hundred streams"),
    _said("messages", "no JSON", "close 4400", "nonsense"),
    _said("messages", "deep JSON", "close 4400", "[" * 100_000),
    _said("messages", "bytes", "close 4400", b"\0"),
    _said("messages", "2 MiB", "close 1009", "x" * (2 << 20)),
    _said("messages", "an id of 1,000 characters", "close 4400", _subscribe(STREAM, "x" * 1_000)),
    _said("messages", "the same id twice", "close 4409", _subscribe(STREAM), _subscribe(STREAM)),
    Cell(ROW, "messages", "compressed", ("close 1002",), _compressed, OPENS_REPEATS, OPENS),
    _operation("documents", "deep", "error DOCUMENT_TOO_DEEP", documents.deep_fields(10_000)),
    _operation("documents", "doubling", "error TOO_MANY_ROOT_FIELDS", documents.doubling_fragments(30)),
    _operation(
        "documents",
        "of a stream that is nobody's",
        "error MALFORMED_ID",
        'subscription { sandbox(id: "x") { __typename } }',
    ),
    _operation(
        "documents", "a forged cursor", "error INVALID", 'subscription { sandboxes(after: "x") { __typename } }'
    ),
)

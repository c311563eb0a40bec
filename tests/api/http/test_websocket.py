"""The protocol graphql-transport-ws, kept by a server that trusts no client."""

import asyncio
import json
from typing import Any

import pytest
import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Origin, Subprotocol

from api.http import websocket
from api.http.socket_operations import OPERATIONS_PER_CONNECTION_MAX
from tests.api.client import Client, Socket, raw_socket
from tests.api.conftest import DASHBOARD_ORIGIN, Platform
from tests.waiting import eventually

VIEWER = "{ viewer { keyName } }"
STREAM = "subscription { sandboxes { __typename } }"


async def _closed(connection: ClientConnection) -> tuple[int, str]:
    return await Socket(connection).closed()


async def test_queries_and_mutations_go_over_the_socket_too(client: Client) -> None:
    async with client.socket() as socket:
        await socket.subscribe(VIEWER)
        assert await socket.next() == {"keyName": "key of a test"}
        assert await socket.receive() == {"id": "1", "type": "complete"}
        await socket.subscribe("mutation { createSandbox(input: {}) { sandbox { state } } }")
        assert await socket.next() == {"sandbox": {"state": "RUNNING"}}


async def test_the_key_may_come_in_the_header_of_the_upgrade(client: Client) -> None:
    headers = {"authorization": f"Bearer {client.key}"}
    async with raw_socket(client.url, additional_headers=headers) as connection:
        socket = Socket(connection)
        await socket.send(type="connection_init")
        assert await socket.receive() == {"type": "connection_ack"}


@pytest.mark.parametrize(
    "payload", [None, {}, {"authorization": "nonsense"}, {"authorization": "Bearer nb_" + "a" * 26 + "_" + "a" * 52}]
)
async def test_without_a_good_key_the_socket_is_closed(platform: Platform, payload: dict[str, Any] | None) -> None:
    async with raw_socket(platform.url) as connection:
        await Socket(connection).send(type="connection_init", payload=payload)
        assert await _closed(connection) == (4403, "Forbidden")


async def test_nothing_happens_before_the_key_is_known(platform: Platform) -> None:
    async with raw_socket(platform.url) as connection:
        await Socket(connection).subscribe(VIEWER)
        assert await _closed(connection) == (4401, "Unauthorized")


async def test_who_says_nothing_is_closed(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "INIT_SECONDS_MAX", 0.1)
    async with raw_socket(platform.url) as connection:
        assert await _closed(connection) == (4408, "Connection initialisation timeout")


async def test_pings_do_not_put_off_the_deadline(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "INIT_SECONDS_MAX", 0.2)
    async with raw_socket(platform.url) as connection:
        socket = Socket(connection)
        await socket.send(type="ping", payload={"a": 1})
        assert await socket.receive() == {"type": "pong", "payload": {"a": 1}}
        assert (await _closed(connection))[0] == 4408


@pytest.mark.parametrize("subprotocols", [None, [Subprotocol("graphql-ws")]])
async def test_other_protocols_are_not_spoken(platform: Platform, subprotocols: list[Subprotocol] | None) -> None:
    async with raw_socket(platform.url, subprotocols=subprotocols) as connection:
        assert await _closed(connection) == (4406, "Subprotocol not acceptable")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "http://["])
async def test_foreign_pages_are_refused(platform: Platform, origin: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with raw_socket(platform.url, origin=Origin(origin)):
            pass
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize("own", [True, False])
async def test_our_own_pages_and_listed_ones_are_let_in(platform: Platform, client: Client, own: bool) -> None:
    origin = Origin(platform.url if own else DASHBOARD_ORIGIN)
    async with raw_socket(platform.url, origin=origin) as connection:
        socket = Socket(connection)
        await socket.send(type="connection_init", payload={"authorization": f"Bearer {client.key}"})
        assert await socket.receive() == {"type": "connection_ack"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", 4400),
        ("[]", 4400),
        ("{}", 4400),
        ('{"type": 1}', 4400),
        ('{"type": "dance"}', 4400),
        ('{"type": "connection_init"}', 4429),
        ('{"type": "subscribe"}', 4400),
        ('{"type": "subscribe", "id": ""}', 4400),
        ('{"type": "subscribe", "id": 1, "payload": {"query": "{ a }"}}', 4400),
        ('{"type": "subscribe", "id": "1"}', 4400),
        (json.dumps({"type": "subscribe", "id": "x" * 1000, "payload": {"query": "{ a }"}}), 4400),
        ('{"type": "complete"}', 4400),
        ("[" * 100_000, 4400),
        ("x" * (1024 * 1024 + 1), 1009),
        (b"\0", 4400),
    ],
)
async def test_messages_outside_the_protocol_close_the_socket(client: Client, text: str | bytes, code: int) -> None:
    async with client.socket() as socket:
        await socket.connection.send(text)
        assert (await socket.closed())[0] == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({}, "BAD_REQUEST"),
        ({"query": 1}, "BAD_REQUEST"),
        ({"query": VIEWER, "variables": []}, "BAD_REQUEST"),
        ({"query": VIEWER, "operationName": "Missing"}, "BAD_USER_INPUT"),
        ({"query": "{ viewer"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{" + "a{" * 10_000}, "DOCUMENT_TOO_DEEP"),
        ({"query": "{ " + " ".join(f"x{n}: viewer {{ keyName }}" for n in range(21)) + " }"}, "TOO_MANY_ROOT_FIELDS"),
    ],
)
async def test_an_operation_that_cannot_run_ends_alone(client: Client, payload: dict[str, Any], code: str) -> None:
    async with client.socket() as socket:
        await socket.subscribe(STREAM, id_="stream")
        assert (await socket.receive())["type"] == "next"
        await socket.send(id="bad", type="subscribe", payload=payload)
        message = await socket.receive()
        assert (message["type"], message["id"]) == ("error", "bad")
        assert message["payload"][0]["extensions"]["code"] == code
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


async def test_an_id_in_use_closes_the_socket_and_a_free_one_does_not(client: Client) -> None:
    async with client.socket() as socket:
        for _ in range(2):
            await socket.subscribe(STREAM)
            assert (await socket.receive())["type"] == "next"
            await socket.send(id="1", type="complete")
        await socket.send(id="unknown", type="complete")
        await socket.subscribe(STREAM)
        assert (await socket.receive())["type"] == "next"
        await socket.subscribe(STREAM)
        assert await socket.closed() == (4409, "Subscriber for 1 already exists")


async def test_operations_of_a_connection_are_limited(client: Client) -> None:
    async with client.socket() as socket:
        for number in range(OPERATIONS_PER_CONNECTION_MAX + 1):
            await socket.subscribe(STREAM, id_=str(number))
        types = [await socket.receive() for _ in range(OPERATIONS_PER_CONNECTION_MAX + 1)]
        (refused,) = [message for message in types if message["type"] == "error"]
        assert refused["id"] == str(OPERATIONS_PER_CONNECTION_MAX)
        assert refused["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"


async def _opens(client: Client) -> bool:
    async with raw_socket(client.url) as connection:
        socket = Socket(connection)
        await socket.send(type="connection_init", payload={"authorization": f"Bearer {client.key}"})
        try:
            return await socket.receive() == {"type": "connection_ack"}
        except ConnectionClosedError:
            return False


async def test_a_team_has_so_many_sockets_and_no_more(
    client: Client, other_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SOCKETS_PER_TEAM_MAX", 2)
    async with client.socket(), client.socket():
        async with raw_socket(client.url) as third:
            await Socket(third).send(type="connection_init", payload={"authorization": f"Bearer {client.key}"})
            assert await _closed(third) == (1013, "Too many connections, try again later")
        async with other_client.socket() as other:
            await other.subscribe(VIEWER)
            assert await other.next() == {"keyName": "key of a test"}
    await eventually(lambda: _opens(client))


@pytest.mark.parametrize("limit", ["STRANGERS_PER_ADDRESS_MAX", "STRANGERS_MAX"])
async def test_strangers_have_so_many_sockets_and_leave_those_of_others_alone(
    client: Client, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(websocket, limit, 2)
    async with client.socket() as known, client.socket(), raw_socket(client.url) as first, raw_socket(client.url):
        # those whose callers are known do not count among them
        with pytest.raises(InvalidStatus) as refused:
            async with raw_socket(client.url):
                pass
        response = refused.value.response
        assert (response.status_code, json.loads(response.body or b"")["error"]["code"]) == (
            503,
            "TOO_MANY_CONNECTIONS",
        )
        await known.subscribe(VIEWER)
        assert await known.next() == {"keyName": "key of a test"}
        # a place is free again as soon as somebody says who they are
        await Socket(first).send(type="connection_init", payload={"authorization": f"Bearer {client.key}"})
        assert await Socket(first).receive() == {"type": "connection_ack"}
        async with client.socket():
            pass
    await eventually(lambda: _opens(client))


async def test_a_client_that_stops_reading_is_dropped(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for far more than all buffers on the way hold, and reads none of it."""
    monkeypatch.setattr(websocket, "SEND_SECONDS_MAX", 0.3)
    types = "types { name description fields { name description args { name description } } }"
    query = "{ " + " ".join(f"x{number}: __schema {{ {types} }}" for number in range(15)) + " }"
    with structlog.testing.capture_logs() as logs:
        async with raw_socket(client.url, max_queue=1, close_timeout=0.1) as connection:
            socket = Socket(connection)
            await socket.send(type="connection_init", payload={"authorization": f"Bearer {client.key}"})
            assert await socket.receive() == {"type": "connection_ack"}
            for number in range(50):
                await socket.subscribe(query, id_=str(number))
            async with asyncio.timeout(20):
                while {"event": "websocket_closed", "code": 1008, "log_level": "info"} not in logs:
                    # a pong never comes, but a ping takes a turn of both loops
                    _pong = await socket.connection.ping()

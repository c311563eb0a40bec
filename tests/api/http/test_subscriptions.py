"""Live views over WebSockets: nothing is asked twice, everything is told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.db import events
from api.db.database import Database
from tests.api.client import Client, Socket
from tests.api.conftest import Platform, revoke

LIST = """subscription ($filter: SandboxFilter, $after: String) { sandboxes(filter: $filter, after: $after) {
  __typename
  ... on SandboxesReset { sandboxes { id state lastOperation { kind } } cursor truncated expired }
  ... on SandboxChanged { sandbox { id state version lastOperation { kind } } cursor }
  ... on SandboxRemoved { id cursor reason }
  ... on Heartbeat { cursor at } } }"""
ONE = LIST.replace("$filter: SandboxFilter, $after: String", "$id: ID!").replace(
    "sandboxes(filter: $filter, after: $after)", "sandbox(id: $id)"
)


async def _until(socket: Socket, id_: str, state: str) -> tuple[dict[str, Any], list[str]]:
    """The event that shows a sandbox in a state, and the states on the way."""
    states = []
    async with asyncio.timeout(10):
        while True:
            event = await socket.next()
            assert event["__typename"] == "SandboxChanged"
            if event["sandbox"]["id"] == id_:
                states.append(event["sandbox"]["state"])
                if event["sandbox"]["state"] == state:
                    return event, states


async def test_the_live_list_is_reset_then_told_of_changes_and_removals(client: Client) -> None:
    before = await client.create(name="before")
    async with client.socket() as socket:
        await socket.subscribe(LIST)
        reset = await socket.next()
        assert reset["__typename"] == "SandboxesReset"
        assert reset["sandboxes"] == [{"id": before["id"], "state": "RUNNING", "lastOperation": {"kind": "CREATE"}}]
        assert not reset["truncated"]

        later = await client.create(name="later")
        event, _ = await _until(socket, later["id"], "RUNNING")
        assert event["sandbox"]["lastOperation"] == {"kind": "CREATE"}
        await client.command("pauseSandbox", "__typename", id=later["id"])
        await _until(socket, later["id"], "PAUSED")
        await client.command("deleteSandbox", "__typename", id=later["id"])
        while (event := await socket.next())["__typename"] == "SandboxChanged":
            assert event["sandbox"]["state"] in {"PAUSED", "DELETING"}
        assert (event["__typename"], event["id"], event["reason"]) == ("SandboxRemoved", later["id"], "DELETED")


async def test_a_list_with_a_filter_is_told_who_enters_and_who_leaves(client: Client) -> None:
    sandbox = await client.create()
    async with client.socket() as socket:
        await socket.subscribe(LIST, {"filter": {"states": ["PAUSED"]}})
        assert (await socket.next())["sandboxes"] == []

        await client.command("pauseSandbox", "__typename", id=sandbox["id"])
        await _until(socket, sandbox["id"], "PAUSED")
        await client.command("resumeSandbox", "__typename", id=sandbox["id"])
        event = await socket.next()
        assert (event["__typename"], event["id"], event["reason"]) == ("SandboxRemoved", sandbox["id"], "FILTERED")


async def test_a_stream_goes_on_where_another_one_ended(client: Client) -> None:
    async with client.socket() as socket:
        await socket.subscribe(LIST)
        cursor = (await socket.next())["cursor"]
    sandbox = await client.create()

    async with client.socket() as socket:
        await socket.subscribe(LIST, {"after": cursor})
        await _until(socket, sandbox["id"], "RUNNING")


async def test_a_stream_that_comes_too_late_for_the_log_is_reset_and_told_so(
    client: Client, platform: Platform
) -> None:
    async with client.socket() as socket:
        await socket.subscribe(LIST)
        first = await socket.next()
        assert not first["expired"]
    sandbox = await client.create()
    database = Database(platform.database_url)
    await database.open()
    try:
        # as the retention does it once all that happened so far is too old
        assert await events.prune(database, datetime.now(UTC), timedelta(0)) > 0
    finally:
        await database.close()

    async with client.socket() as socket:
        await socket.subscribe(LIST, {"after": first["cursor"]})
        reset = await socket.next()
        assert (reset["__typename"], reset["expired"], reset["truncated"]) == ("SandboxesReset", True, False)
        assert [shown["id"] for shown in reset["sandboxes"]] == [sandbox["id"]]
        # it goes on from there as any other
        await client.command("pauseSandbox", "__typename", id=sandbox["id"])
        event, _ = await _until(socket, sandbox["id"], "PAUSED")
    async with client.socket() as socket:
        await socket.subscribe(LIST, {"after": event["cursor"]})
        await client.command("resumeSandbox", "__typename", id=sandbox["id"])
        await _until(socket, sandbox["id"], "RUNNING")


async def test_one_sandbox_is_followed_to_its_end(client: Client) -> None:
    sandbox = await client.create()
    async with client.socket() as socket:
        await socket.subscribe(ONE, {"id": sandbox["id"]})
        first = await socket.next()
        assert first["sandbox"]["version"] == sandbox["version"]
        await client.command("deleteSandbox", "__typename", id=sandbox["id"])
        while (event := await socket.next())["__typename"] == "SandboxChanged":
            assert int(event["sandbox"]["version"]) > int(first["sandbox"]["version"])
        assert event["__typename"] == "SandboxRemoved"
        assert await socket.receive() == {"id": "1", "type": "complete"}


async def test_others_sandboxes_are_not_told(client: Client, other_client: Client) -> None:
    foreign = await other_client.create()
    async with client.socket() as socket:
        await socket.subscribe(LIST)
        assert (await socket.next())["sandboxes"] == []
        await other_client.command("deleteSandbox", "__typename", id=foreign["id"])
        own = await client.create()
        await _until(socket, own["id"], "RUNNING")


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        (ONE, {"id": "nonsense"}, "MALFORMED_ID"),
        (ONE, {"id": "tpl-01234567-89ab-7cde-8f01-23456789abcd"}, "WRONG_KIND_OF_ID"),
        (ONE, {"id": "sb-01234567-89ab-7cde-8f01-23456789abcd"}, "NOT_FOUND"),
        (ONE, {}, "BAD_USER_INPUT"),
        (LIST, {"after": "forged"}, "INVALID"),
        (LIST, {"after": "\0"}, "INVALID"),
        (LIST, {"filter": {"templateId": "x"}}, "MALFORMED_ID"),
        (LIST, {"filter": {"nameContains": "\0"}}, "INVALID"),
        ("subscription { nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", {}, "GRAPHQL_PARSE_FAILED"),
        ("subscription { a: sandboxes { __typename } b: sandboxes { __typename } }", {}, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_a_stream_that_cannot_begin_ends_with_an_error_and_leaves_the_socket_open(
    client: Client, query: str, variables: dict[str, Any], code: str
) -> None:
    async with client.socket() as socket:
        await socket.subscribe(query, variables, id_="bad")
        message = await socket.receive()
        assert (message["type"], message["id"]) == ("error", "bad")
        assert message["payload"][0]["extensions"]["code"] == code
        # the same id is free again, and the socket lives
        await socket.subscribe("{ viewer { keyName } }", id_="bad")
        assert await socket.next("bad") == {"keyName": "key of a test"}
        assert (await socket.receive())["type"] == "complete"


async def test_a_revoked_key_ends_its_streams_within_five_seconds(client: Client, platform: Platform) -> None:
    viewer = await client.ask("{ viewer { keyId } }")
    async with client.socket() as socket:
        await socket.subscribe(LIST)
        await socket.next()
        await revoke(platform, viewer["keyId"])
        async with asyncio.timeout(6):
            message = await socket.receive()
            while message["type"] == "next":
                message = await socket.receive()
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            assert await socket.closed() == (4403, "Forbidden")
    assert (await client.http.post("/graphql", json={"query": "{ viewer { keyId } }"})).status_code == 401

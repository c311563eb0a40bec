"""The table is complete, and holds: every cell is asked for, of a real server."""

import json
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from graphql import GraphQLObjectType, GraphQLSchema, build_schema, get_named_type
from websockets.exceptions import ConnectionClosed

from api.schema import schema as ours
from tests.api.askers import Caller, World, world
from tests.api.authorisation_table import FIELDS, FREE, NOTHING, OK, Field
from tests.api.client import Client, Socket, raw_socket
from tests.api.conftest import Platform

IN_MODULE = pytest.mark.asyncio(loop_scope="module")
SCHEMA = build_schema(ours.print_sdl(ours.build_schema()))
ROOTS = ("Query", "Mutation", "Subscription", "Admin")
FORBIDDEN = 4403
"""The code with which a WebSocket is closed whose caller is not known."""
WRAPPERS = ("Connection", "Edge", "Payload", "Changed", "Reset", "Removed")
"""Endings of types whose fields are seen by whoever is answered with them."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def found(platform: Platform) -> AsyncIterator[World]:
    async with world(platform) as made:
        yield made


def _leads_to_objects(schema: GraphQLSchema, name: str, field: str) -> bool:
    type_ = get_named_type(cast("GraphQLObjectType", schema.type_map[name]).fields[field].type)
    node = schema.type_map["Node"]
    return type_.name.endswith("Connection") or node in getattr(type_, "interfaces", ())


def test_every_field_has_a_row_with_every_caller() -> None:
    needed = {f"{root}.{name}" for root in ROOTS for name in cast("GraphQLObjectType", SCHEMA.type_map[root]).fields}
    for name, type_ in SCHEMA.type_map.items():
        if isinstance(type_, GraphQLObjectType) and name not in ROOTS and not name.endswith(WRAPPERS):
            needed |= {f"{name}.{field}" for field in type_.fields if _leads_to_objects(SCHEMA, name, field)}
    assert set(FIELDS) | FREE == needed
    assert not set(FIELDS) & FREE
    for name, field in FIELDS.items():
        assert set(field.row) == set(Caller), name


FILES = {
    Caller.ANONYMOUS: 401,
    Caller.REVOKED: 401,
    Caller.REMOVED: 403,
    Caller.STRANGER: 404,
    Caller.PLATFORM_ADMIN: 404,
    Caller.READER: 200,
    Caller.MEMBER: 200,
}
"""The status of a file that is read beside GraphQL; a reader may not write one."""


@IN_MODULE
@pytest.mark.parametrize("caller", FILES)
async def test_files_are_the_teams_own(found: World, caller: Caller) -> None:
    http, sandbox_id = found.clients[caller].http, await found.sandbox()
    url = f"/sandboxes/{sandbox_id}/files?path=/root/file"
    assert (await found.owner.http.put(url, content=b"of the team")).status_code == 200
    read = await http.get(url)
    assert read.status_code == FILES[caller]
    assert (b"of the team" in read.content) == (read.status_code == 200)
    written = await http.put(url, content=b"of somebody else")
    assert written.status_code == (403 if caller is Caller.READER else FILES[caller])
    now = (await found.owner.http.get(url)).content
    assert now == (b"of somebody else" if written.status_code == 200 else b"of the team")


@IN_MODULE
@pytest.mark.parametrize("name", FIELDS)
async def test_each_caller_gets_what_the_table_says(found: World, name: str) -> None:
    outcomes = {caller: await _outcome(found, name, FIELDS[name], caller) for caller in FIELDS[name].row}
    assert outcomes == FIELDS[name].row


async def _outcome(found: World, name: str, field: Field, caller: Caller) -> str:
    kind, _, field_name = name.partition(".")
    client = found.clients[caller]
    if kind == "Mutation":
        return await _of_mutation(found, field_name, field, caller)
    variables = field.variables(found)
    declared = "($id: ID!)" if variables else ""
    if kind == "Subscription":
        code, data = await _first_message(client, f"subscription{declared} {{ {field.ask} }}", variables)
    else:
        answer = await client.post(f"query{declared} {{ {field.ask} }}", variables)
        code, data = _code(answer), answer.get("data")
    return code or _seen(found, field, data)


async def _of_mutation(found: World, name: str, field: Field, caller: Caller) -> str:
    if field.inputs is None:
        query, variables = f"mutation {{ {name} {{ userErrors {{ code }} }} }}", {}
    else:
        type_ = name[0].upper() + name[1:] + "Input"
        query = f"mutation ($input: {type_}!) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}"
        variables = {"input": await field.inputs(found, caller)}
    answer = await found.clients[caller].post(query, variables)
    if code := _code(answer):
        return code
    errors = answer["data"][name]["userErrors"]
    return str(errors[0]["code"]) if errors else OK


def _code(answer: dict[str, object]) -> str:
    errors = cast("list[dict[str, dict[str, str]]]", answer.get("errors") or [])
    return errors[0]["extensions"]["code"] if errors else ""


def _seen(found: World, field: Field, data: object) -> str:
    text = json.dumps(data)
    if field.marked:
        return OK if any(mark in text for mark in found.marks) else NOTHING
    return OK


async def _first_message(client: Client, query: str, variables: dict[str, object]) -> tuple[str, object]:
    """The code of what a stream is refused with, or what it says first."""
    cookies = "; ".join(f"{name}={value}" for name, value in client.http.cookies.items())
    authorization = client.http.headers.get("authorization")
    payload = {"authorization": authorization} if authorization else {}
    async with raw_socket(client.url, origin=client.url, additional_headers={"cookie": cookies}) as connection:
        socket = Socket(connection)
        await socket.send(type="connection_init", payload=payload)
        try:
            assert (await socket.receive())["type"] == "connection_ack"
        except ConnectionClosed:
            assert connection.close_code == FORBIDDEN
            return "UNAUTHENTICATED", None
        await socket.subscribe(query, variables)
        message = await socket.receive()
        if message["type"] == "error":
            return str(message["payload"][0]["extensions"]["code"]), None
        return "", message["payload"]


@IN_MODULE
@pytest.mark.parametrize("kind", ["sandbox", "template", "operation", "node"])
async def test_a_foreign_id_is_answered_like_an_unknown_one(found: World, kind: str) -> None:
    known = {"template": found.template_id, "operation": found.operation_id}.get(kind, found.sandbox_id)
    unknown = known[:-8] + "00000000"
    stranger = found.clients[Caller.STRANGER]
    query = f"query ($id: ID!) {{ {kind}(id: $id) {{ id }} }}"
    assert await stranger.post(query, {"id": known}) == await stranger.post(query, {"id": unknown})
    if kind != "node":
        return
    for name in ("pauseSandbox", "deleteSandbox", "forkSandbox", "setSandboxTimeout"):
        more = {"timeoutSec": 1} if name == "setSandboxTimeout" else {}
        refusals = [await stranger.refusal(name, id=id_, **more) for id_ in (known, unknown)]
        assert refusals[0] == refusals[1]
        assert refusals[0]["code"] == "NOT_FOUND"

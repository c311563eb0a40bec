"""What leaves a line in the audit log, who may read it, and what is never in it."""

from typing import cast

import asyncpg
import pytest
from graphql import GraphQLInputObjectType, GraphQLNonNull, build_schema, is_leaf_type, is_list_type
from graphql.type import GraphQLInputType, GraphQLObjectType

from api.schema import schema as ours
from tests.api.browsing import Browser
from tests.api.client import Client
from tests.api.conftest import NewKey, Platform

LINES = "nodes { actor action target result requestId address teamId }"
MUTATIONS = cast("GraphQLObjectType", build_schema(ours.print_sdl(ours.build_schema())).mutation_type)
_LEAVES: dict[str, object] = {"Int": 1, "Float": 1.0, "Boolean": True, "DateTime": "2030-01-01T00:00:00Z"}


def _least(type_: GraphQLInputType) -> object:
    """A value that is not refused before a resolver runs: what is needed, and nothing that exists."""
    if isinstance(type_, GraphQLNonNull):
        return _least(type_.of_type)
    if is_list_type(type_):
        return []
    if isinstance(type_, GraphQLInputObjectType):
        return {
            name: _least(field.type) for name, field in type_.fields.items() if isinstance(field.type, GraphQLNonNull)
        }
    if is_leaf_type(type_) and hasattr(type_, "values"):
        return next(iter(type_.values))
    return _LEAVES.get(str(type_), "nothing")


async def _call(client: Client, name: str) -> str:
    """Calls a mutation with as little as can be; the id of the request."""
    arguments = MUTATIONS.fields[name].args
    if arguments:
        query = f"mutation ($input: {arguments['input'].type}) {{ {name}(input: $input) {{ __typename }} }}"
        content = {"query": query, "variables": {"input": _least(arguments["input"].type)}}
    else:
        content = {"query": f"mutation {{ {name} {{ __typename }} }}"}
    response = await client.http.post("/graphql", json=content)
    assert response.status_code == 200, response.text
    return response.headers["x-request-id"]


async def _log(client: Client, arguments: str = "", fields: str = LINES) -> list[dict[str, str]]:
    found = await client.ask(f"{{ team {{ auditLog{arguments} {{ {fields} }} }} }}")
    lines: list[dict[str, str]] = found["auditLog"]["nodes"]
    return lines


@pytest.mark.parametrize("name", sorted(MUTATIONS.fields))
async def test_every_mutation_leaves_one_line(client: Client, name: str) -> None:
    request_id = await _call(client, name)
    (line,) = await _log(client)
    assert (line["action"], line["requestId"]) == (name, request_id)
    assert (line["actor"], line["address"]) == ((await client.ask("{ viewer { id } }"))["id"], "127.0.0.1")


async def test_what_was_done_says_to_what_and_what_was_refused_says_why(client: Client) -> None:
    sandbox = await client.create()
    await client.command("pauseSandbox", "__typename", id=sandbox["id"])
    await client.refusal("pauseSandbox", id=sandbox["id"])
    await client.refusal("pauseSandbox", id="my-secret")
    lines = [(line["action"], line["target"], line["result"]) for line in await _log(client)]
    assert lines[::-1] == [
        ("createSandbox", sandbox["id"], "OK"),
        ("pauseSandbox", sandbox["id"], "OK"),
        ("pauseSandbox", sandbox["id"], "WRONG_STATE"),
        ("pauseSandbox", "", "MALFORMED_ID"),
    ]
    assert [line["result"] for line in await _log(client, '(filter: {refused: true, action: "pauseSandbox"})')] == [
        "MALFORMED_ID",
        "WRONG_STATE",
    ]


async def test_a_document_of_many_mutations_that_are_refused_to_a_reader_leaves_one_line_of_each(
    platform: Platform, client: Client
) -> None:
    key = (await client.command("createApiKey", "key", name="reader", scopes=["READ"]))["key"]
    pauses = " ".join(f'p{number}: pauseSandbox(input: {{id: "x"}}) {{ __typename }}' for number in range(10))
    creates = " ".join(f"c{number}: createSandbox(input: {{}}) {{ __typename }}" for number in range(10))
    async with Client(platform.url, key) as reader:
        for _ in range(2):
            await reader.post(f"mutation {{ {pauses} }}")
            await reader.post(f"mutation {{ {creates} }}")
    refused = [(line["action"], line["result"]) for line in await _log(client, "(filter: {refused: true})")]
    assert sorted(refused) == [("createSandbox", "MISSING_SCOPE"), ("pauseSandbox", "MALFORMED_ID")]


async def test_pages_meet_without_gap_or_repetition(client: Client) -> None:
    ids = [await _call(client, "pingSandbox") for _ in range(5)]
    found, after = [], ""
    while True:
        fields = "nodes { requestId } pageInfo { hasNextPage endCursor }"
        page = (await client.ask(f"{{ team {{ auditLog(first: 2{after}) {{ {fields} }} }} }}"))["auditLog"]
        found += [line["requestId"] for line in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = f', after: "{page["pageInfo"]["endCursor"]}"'
    assert sorted(found) == sorted(ids)


async def test_a_team_sees_its_own_lines_and_a_platform_admin_all(
    client: Client, other_client: Client, admin_client: Client
) -> None:
    request_id = await _call(client, "createTeam")
    assert await _log(other_client) == []
    query = '{ admin { auditLog(first: 100, filter: {action: "createTeam"}) { nodes { requestId } } } }'
    everything = (await admin_client.ask(query))["auditLog"]["nodes"]
    assert request_id in [line["requestId"] for line in everything]
    assert await client.code(query) == "FORBIDDEN"


async def test_signing_in_and_out_and_failing_to_leave_lines(platform: Platform, new_key: NewKey) -> None:
    async with Client(platform.url, await new_key(is_platform_admin=True)) as admin, Browser(platform.url) as browser:
        link = (await admin.command("inviteMember", "link", email="audited@example.org"))["link"]
        accepted = {"token": link.partition("#")[2], "password": "canary-password-7c1f", "name": ""}
        assert (await browser.http.post("/auth/invitations/accept", json=accepted)).status_code == 200
        user_id = (await browser.http.get("/auth/session")).json()["user"]["id"]
        assert (await browser.http.post("/auth/sign-out", json={})).status_code == 200
        assert (await browser.sign_in("audited@example.org", "canary-password-wrong")).status_code == 401
        assert (await browser.sign_in("audited@example.org", "canary-password-7c1f")).status_code == 200
        query = f'{{ admin {{ auditLog(first: 4, filter: {{target: "{user_id}"}}) {{ {LINES} }} }} }}'
        lines = [
            (line["action"], line["actor"], line["result"]) for line in (await admin.ask(query))["auditLog"]["nodes"]
        ]
        assert lines == [("signIn", user_id, "OK"), ("signIn", "anonymous", "WRONG_CREDENTIALS")]
        actions = [line["action"] for line in await _log(admin, f'(filter: {{actor: "{user_id}"}})')]
        assert actions == ["signIn", "signOut", "acceptInvitation"]


async def test_no_secret_gets_in(platform: Platform, client: Client) -> None:
    canary = "canary-5f3a9c"
    key = (await client.command("createApiKey", "key", name=canary, scopes=["READ"]))["key"]
    pair = [{"name": "TOKEN", "value": canary}]
    sandbox = await client.create(environment=pair, name=canary, labels=[{"key": canary, "value": canary}])
    exec_ = {"sandboxId": sandbox["id"], "command": ["echo", canary], "environment": pair}
    await client.post("mutation ($input: ExecInput!) { exec(input: $input) { __typename } }", {"input": exec_})
    await client.command("deleteSandbox", "__typename", id=sandbox["id"], idempotencyKey=canary)
    await client.refusal("revokeApiKey", id=key)
    await client.refusal("pauseSandbox", id=canary)
    await client.http.post("/auth/sign-in", json={"email": f"{canary}@example.org", "password": canary})
    connection = await asyncpg.connect(platform.database_url)
    try:
        text = "\n".join(row[0] for row in await connection.fetch("SELECT a::text FROM audit_log a"))
    finally:
        await connection.close()
    assert sandbox["id"] in text
    assert [secret for secret in (canary, key, key.split("_")[2]) if secret in text] == []

"""Quotas as clients and admins meet them, on the whole stack."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from api.settings import Settings
from tests.api.client import Client
from tests.api.conftest import Agent, NewKey, Platform, free_port, serving

QUOTA = """quota { sandboxes { used limit left } memoryMb { used limit left } diskMb { used limit left }
    vcpus { used limit left isDefault } templates { used } operations { used } requestsPerMinute }"""
EXPLAIN = """query ($input: CreateSandboxInput!) { explainCreate(input: $input) {
    fits blockers { code message path retryable } template { name } shape { vcpus memoryMb diskSizeMb } } }"""


async def _team_id(client: Client) -> str:
    return str((await client.ask("{ viewer { teamId } }"))["teamId"])


async def _limit(admin: Client, client: Client, **limits: int | None) -> Any:
    payload = await admin.command("adminSetTeamQuota", QUOTA, teamId=await _team_id(client), **limits)
    assert payload["userErrors"] == []
    return payload["quota"]


async def test_a_team_sees_what_it_may_have_and_has(client: Client, admin_client: Client) -> None:
    free = await client.ask(f"{{ {QUOTA} }}")
    assert free["sandboxes"] == {"used": 0.0, "limit": None, "left": None}
    assert free["requestsPerMinute"] is None
    told = await _limit(admin_client, client, sandboxes=1, memoryMb=100)
    assert told["sandboxes"] == {"used": 0.0, "limit": 1, "left": 1.0}
    refusal = await client.refusal("createSandbox")
    assert (refusal["code"], refusal["retryable"]) == ("QUOTA_EXCEEDED", True)
    assert "512 MiB of memory, 412 more than it may have" in refusal["message"]
    await _limit(admin_client, client, memoryMb=None)
    await client.create()
    full = await client.ask(f"{{ {QUOTA} }}")
    assert full["sandboxes"] == {"used": 1.0, "limit": 1, "left": 0.0}
    assert full["memoryMb"] == {"used": 512.0, "limit": None, "left": None}
    assert full["diskMb"]["used"] == 5120.0


async def test_an_admin_sees_the_quotas_of_all_teams(client: Client, admin_client: Client) -> None:
    await _limit(admin_client, client, vcpus=3)
    team_id = await _team_id(client)
    after, found = None, None
    while found is None:
        page = (
            await admin_client.ask(
                "query ($after: String) { admin { teams(first: 100, after: $after) {"
                " nodes { id quota { vcpus { limit } } } pageInfo { endCursor hasNextPage } } } }",
                {"after": after},
            )
        )["teams"]
        found = next((team for team in page["nodes"] if team["id"] == team_id), None)
        after = page["pageInfo"]["endCursor"]
    assert found["quota"]["vcpus"]["limit"] == 3


async def test_limits_that_cannot_be_are_refused(client: Client, admin_client: Client) -> None:
    team_id = await _team_id(client)
    refusal = await admin_client.refusal("adminSetTeamQuota", teamId=team_id, memoryMb=-1)
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["memoryMb"])
    refusal = await admin_client.refusal("adminSetTeamQuota", teamId="team-0190a0a0-0000-7000-8000-000000000000")
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["teamId"])
    assert (await client.refusal("adminSetTeamQuota", teamId=team_id))["code"] == "FORBIDDEN"


async def test_a_create_is_explained_before_it_is_tried(client: Client, admin_client: Client) -> None:
    found = await client.ask(EXPLAIN, {"input": {"vcpus": 2}})
    assert found == {
        "fits": True,
        "blockers": [],
        "template": {"name": "base"},
        "shape": {"vcpus": 2, "memoryMb": 512, "diskSizeMb": 5120},
    }
    await _limit(admin_client, client, sandboxes=0)
    (blocker,) = (await client.ask(EXPLAIN, {"input": {}}))["blockers"]
    assert blocker == {**(await client.refusal("createSandbox")), "path": []}
    malformed = await client.ask(EXPLAIN, {"input": {"templateId": "sb-1"}})
    assert (malformed["fits"], malformed["blockers"][0]["code"]) == (False, "MALFORMED_ID")


async def test_headroom_is_live(client: Client, admin_client: Client) -> None:
    async with client.socket() as socket:
        await socket.subscribe(f"subscription {{ quota {{ __typename ... on QuotaChanged {{ {QUOTA} }} }} }}")
        assert (await socket.next())["quota"]["sandboxes"]["used"] == 0.0
        await _limit(admin_client, client, sandboxes=5)
        while (await socket.next())["quota"]["sandboxes"]["limit"] != 5:
            pass
        await client.create()
        while (await socket.next())["quota"]["sandboxes"]["left"] != 4.0:
            pass


@pytest.mark.parametrize("over", ["http", "socket"])
async def test_a_document_counts_as_many_requests_as_it_has_mutations(
    platform: Platform, simulated_agent: Agent, new_key: NewKey, over: str
) -> None:
    settings = Settings(
        api_port=free_port(),
        DATABASE_URL=SecretStr(platform.database_url),
        hosts=(simulated_agent.address,),
        agent_token_file=simulated_agent.token_file,
        quota_requests_per_minute=3,
    )
    pings = 'mutation { ...P x: pingSandbox(input: {id: "x"}) { __typename } } fragment P on Mutation { %s }'
    document = pings % " ".join(f'p{n}: pingSandbox(input: {{id: "x"}}) {{ __typename }}' for n in range(19))
    with serving(settings):
        async with Client(f"http://127.0.0.1:{settings.api_port}", await new_key()) as client:
            if over == "http":
                await client.post(document)
            else:
                async with client.socket() as socket:
                    await socket.subscribe(document)
                    assert (await socket.receive())["type"] == "next"
            response = await client.http.post("/graphql", json={"query": "{ viewer { id } }"})
            # seventeen too many, of which there are three a minute
            assert (response.status_code, int(response.headers["retry-after"]) > 300) == (429, True)


async def test_requests_that_come_too_fast_are_refused_with_a_time_to_wait(
    platform: Platform, simulated_agent: Agent, new_key: NewKey
) -> None:
    settings = Settings(
        api_port=free_port(),
        DATABASE_URL=SecretStr(platform.database_url),
        hosts=(simulated_agent.address,),
        agent_token_file=simulated_agent.token_file,
        quota_requests_per_minute=3,
    )
    key = await new_key()
    with serving(settings):
        url = f"http://127.0.0.1:{settings.api_port}"
        async with Client(url, key) as client, client.socket() as socket:
            await client.ask("{ viewer { id } }")
            await client.ask("{ viewer { id } }")
            response = await client.http.post("/graphql", json={"query": "{ viewer { id } }"})
            assert (response.status_code, response.headers["retry-after"]) == (429, "20")
            (error,) = response.json()["errors"]
            assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("RATE_LIMITED", True)
            file = await client.http.get("/sandboxes/sb-0190a0a0-0000-7000-8000-000000000000/files?path=/a")
            assert (file.status_code, file.json()["error"]["code"]) == (429, "RATE_LIMITED")
            await socket.subscribe("{ viewer { id } }")
            message = await socket.receive()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")
        async with httpx.AsyncClient(base_url=url, trust_env=False) as anonymous:
            assert (await anonymous.get("/healthz")).status_code == 200
        async with Client(url, await new_key()) as other:
            await other.ask("{ viewer { id } }")

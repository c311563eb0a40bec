"""Templates and forks as clients meet them, on the whole stack."""

import asyncio
from typing import Any

import pytest

from tests.api.client import Client

TEMPLATE = """id name description type vcpus memoryMb diskSizeMb storedBytes sourceSandboxId createdBy isPlatform teamId
    allowedActions { action allowed reason } hosts { hostId isComplete }"""
MADE = (
    f"template {{ {TEMPLATE} }} sandbox {{ id state }} operation {{ id kind state progressPercent template {{ id }} }}"
)
CHILDREN = """parent { id state } operation { id kind state }
    children { sandbox { id name state parentId parent { id } labels { key value } template { name } }
      operation { kind state } userErrors { code } }"""
OPERATION = """subscription ($id: ID!) { operation(id: $id) { __typename
  ... on OperationChanged { operation { id state progressPercent templateId } cursor }
  ... on Heartbeat { cursor } } }"""


async def _made(client: Client, name: str = "mine") -> Any:
    sandbox = await client.create()
    payload = await client.command("createTemplate", MADE, sandboxId=sandbox["id"], name=name)
    assert payload["userErrors"] == []
    return payload


async def test_a_template_is_made_used_and_deleted(client: Client) -> None:
    payload = await _made(client)
    template = payload["template"]
    assert template["id"].startswith("tpl-")
    assert (template["type"], template["vcpus"], template["memoryMb"], template["diskSizeMb"]) == (
        "SNAPSHOT",
        1,
        512,
        5120,
    )
    assert (template["sourceSandboxId"], template["isPlatform"]) == (payload["sandbox"]["id"], False)
    assert template["createdBy"].startswith("key-")
    assert template["storedBytes"] >= 0
    assert template["hosts"] is None  # for admins only
    assert template["allowedActions"] == [{"action": "DELETE", "allowed": True, "reason": None}]
    assert payload["sandbox"]["state"] == "RUNNING"
    operation = payload["operation"]
    assert (operation["kind"], operation["state"], operation["progressPercent"]) == (
        "CREATE_TEMPLATE",
        "SUCCEEDED",
        100,
    )
    assert operation["template"] == {"id": template["id"]}

    user = await client.create(templateName="mine")
    assert user["template"]["id"] == template["id"]
    refusal = await client.refusal("deleteTemplate", id=template["id"])
    assert (refusal["code"], refusal["path"]) == ("TEMPLATE_IN_USE", ["id"])
    found = await client.ask(f"query ($id: ID!) {{ template(id: $id) {{ {TEMPLATE} }} }}", {"id": template["id"]})
    (entry,) = found["allowedActions"]
    assert not entry["allowed"]
    assert entry["reason"].endswith(".")
    refusal = await client.refusal("createSandbox", templateName="mine", memoryMb=1024)
    assert (refusal["code"], refusal["path"]) == ("UNSUPPORTED_SHAPE", ["memoryMb"])

    await client.command("deleteSandbox", "__typename", id=user["id"])
    deleted = await client.command("deleteTemplate", "operation { kind state sandboxId templateId }", id=template["id"])
    assert deleted["operation"] == {
        "kind": "DELETE_TEMPLATE",
        "state": "SUCCEEDED",
        "sandboxId": None,
        "templateId": template["id"],
    }
    assert await client.ask("query ($id: ID!) { node(id: $id) { id } }", {"id": template["id"]}) is None
    assert (await client.refusal("deleteTemplate", id=template["id"]))["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"name": ""}, "INVALID", "name"),
        ({"name": "Upper"}, "INVALID", "name"),
        ({"name": "a/b"}, "INVALID", "name"),
        ({"name": "base"}, "TEMPLATE_NAME_RESERVED", "name"),
        ({"name": "nestbox-x"}, "TEMPLATE_NAME_RESERVED", "name"),
        ({"description": "x" * 2001}, "INVALID", "description"),
        ({"description": "\0"}, "INVALID", "description"),
        ({"sandboxId": "x"}, "MALFORMED_ID", "sandboxId"),
        ({"sandboxId": "sb-01234567-89ab-7cde-8f01-23456789abcd"}, "NOT_FOUND", "sandboxId"),
        ({"waitSeconds": -1}, "INVALID", "waitSeconds"),
        ({"idempotencyKey": ""}, "INVALID", "idempotencyKey"),
    ],
)
async def test_a_template_that_cannot_be_is_refused_with_a_code(
    client: Client, given: dict[str, Any], code: str, path: str
) -> None:
    sandbox = await client.create()
    refusal = await client.refusal("createTemplate", **({"sandboxId": sandbox["id"], "name": "mine"} | given))
    assert (refusal["code"], refusal["path"], refusal["retryable"]) == (code, [path], False)
    assert (await client.ask("{ templates(filter: { type: SNAPSHOT }) { totalCount } }"))["totalCount"] == 0


async def test_a_name_is_taken_once_in_a_team(client: Client, other_client: Client) -> None:
    payload = await _made(client)
    again = await client.refusal("createTemplate", sandboxId=payload["sandbox"]["id"], name="mine")
    assert (again["code"], again["path"]) == ("TEMPLATE_NAME_TAKEN", ["name"])
    assert (await _made(other_client))["template"]["name"] == "mine"


async def test_templates_of_others_look_like_none_and_admins_see_all(
    client: Client, other_client: Client, admin_client: Client
) -> None:
    template = (await _made(client))["template"]
    ask = "query ($id: ID!) { template(id: $id) { id } node(id: $id) { id } nodes(ids: [$id]) { id } }"
    assert await other_client.ask(ask, {"id": template["id"]}) == {"template": None, "node": None, "nodes": [None]}
    assert (await other_client.refusal("deleteTemplate", id=template["id"]))["code"] == "NOT_FOUND"
    assert (await other_client.refusal("createSandbox", templateId=template["id"]))["code"] == "NOT_FOUND"
    source = template["sourceSandboxId"]
    assert (await other_client.refusal("createTemplate", sandboxId=source, name="x"))["code"] == "NOT_FOUND"
    assert (await other_client.refusal("forkSandbox", id=source))["code"] == "NOT_FOUND"
    listed = "{ admin { templates(last: 100) { totalCount nodes { id teamId hosts { hostId name isComplete } } } } }"
    found = (await admin_client.ask(listed))["templates"]
    (mine,) = [entry for entry in found["nodes"] if entry["id"] == template["id"]]
    assert mine["teamId"] == template["teamId"]
    assert [holder["isComplete"] for holder in mine["hosts"]] == [True]
    assert found["totalCount"] >= 2
    assert await client.code(listed) == "FORBIDDEN"


async def test_the_platforms_templates_cannot_be_deleted(client: Client, admin_client: Client) -> None:
    base = await client.ask(f'{{ template(name: "base") {{ {TEMPLATE} }} }}')
    (entry,) = base["allowedActions"]
    assert (entry["allowed"], base["storedBytes"], base["sourceSandboxId"]) == (False, None, None)
    for who in (client, admin_client):
        assert (await who.refusal("deleteTemplate", id=base["id"]))["code"] == "FORBIDDEN"


async def test_children_of_a_fork_are_told_one_by_one(client: Client) -> None:
    parent = await client.create(name="p", labels=[{"key": "a", "value": "1"}])
    labels = [{"key": "b", "value": "2"}]
    payload = await client.command("forkSandbox", CHILDREN, id=parent["id"], count=3, name="c", labels=labels)
    assert payload["userErrors"] == []
    assert payload["parent"] == {"id": parent["id"], "state": "RUNNING"}
    assert (payload["operation"]["kind"], payload["operation"]["state"]) == ("FORK", "SUCCEEDED")
    assert len({child["sandbox"]["id"] for child in payload["children"]}) == 3
    for child in payload["children"]:
        assert child["operation"] == {"kind": "CREATE", "state": "SUCCEEDED"}
        assert child["userErrors"] == []
        sandbox = child["sandbox"]
        assert (sandbox["name"], sandbox["state"], sandbox["parentId"]) == ("c", "RUNNING", parent["id"])
        assert sandbox["parent"] == {"id": parent["id"]}
        assert sandbox["labels"] == [{"key": "a", "value": "1"}, *labels]
    for given, code in (
        ({"count": 0}, "INVALID"),
        ({"count": 101}, "INVALID"),
        ({"diskSizeMb": 2048}, "UNSUPPORTED_SHAPE"),
        ({"timeoutSec": -1}, "INVALID"),
    ):
        assert (await client.refusal("forkSandbox", id=parent["id"], **given))["code"] == code
    await client.command("pauseSandbox", "__typename", id=parent["id"])
    assert (await client.refusal("forkSandbox", id=parent["id"]))["code"] == "WRONG_STATE"


async def test_other_shapes_are_had_for_the_asking(client: Client) -> None:
    sandbox = await client.create(vcpus=2, memoryMb=256, diskSizeMb=6144)
    assert (sandbox["vcpus"], sandbox["memoryMb"], sandbox["diskSizeMb"]) == (2, 256, 6144)


async def test_an_operation_is_followed_to_its_end(client: Client) -> None:
    sandbox = await client.create()
    async with client.socket() as socket:
        payload = await client.command(
            "createTemplate", "template { id } operation { id }", sandboxId=sandbox["id"], name="mine", waitSeconds=0
        )
        assert payload["template"] is None
        await socket.subscribe(OPERATION, {"id": payload["operation"]["id"]})
        async with asyncio.timeout(10):
            event = await socket.next()
            while event["operation"]["state"] == "RUNNING":
                event = await socket.next()
        assert (event["operation"]["state"], event["operation"]["progressPercent"]) == ("SUCCEEDED", 100)
        assert await socket.receive() == {"id": "1", "type": "complete"}


async def test_operations_of_others_cannot_be_followed(client: Client, other_client: Client) -> None:
    operation = (await _made(client))["operation"]
    async with other_client.socket() as socket:
        await socket.subscribe(OPERATION, {"id": operation["id"]})
        message = await socket.receive()
    assert message["type"] in {"error", "next"}
    assert "NOT_FOUND" in str(message)


async def test_usage_is_the_teams_own(client: Client, other_client: Client) -> None:
    await _made(client)
    used = await client.ask("{ usage { diskBytes sandboxBytes templateBytes } }")
    assert used["diskBytes"] == used["sandboxBytes"] + used["templateBytes"]
    assert await other_client.ask("{ usage { diskBytes } }") == {"diskBytes": 0}

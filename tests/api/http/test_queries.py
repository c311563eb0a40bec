"""Everything that can be asked, on the whole stack."""

from typing import Any

import pytest

from tests.api.client import CREATE, SANDBOX, Client

UNKNOWN = "01234567-89ab-7cde-8f01-23456789abcd"
ONE = SANDBOX.split("fragment P")[0] + "query ($id: ID!) { sandbox(id: $id) { ...S } }"
LIST = """query (
  $first: Int, $after: String, $last: Int, $before: String, $filter: SandboxFilter, $order: SandboxOrder!
) {
  sandboxes(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $order) {
    edges { cursor node { id } } nodes { id name } totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


async def _list(client: Client, **given: Any) -> Any:
    return await client.ask(LIST, {"order": "NEWEST_FIRST"} | given)


async def test_a_created_sandbox_is_running_and_described(client: Client) -> None:
    payload = await client.ask(CREATE, {"input": {"name": "first", "labels": [{"key": "env", "value": "test"}]}})

    assert payload["userErrors"] == []
    sandbox, operation = payload["sandbox"], payload["operation"]
    assert sandbox["id"].startswith("sb-")
    assert sandbox["name"] == "first"
    assert sandbox["labels"] == [{"key": "env", "value": "test"}]
    assert (sandbox["vcpus"], sandbox["memoryMb"], sandbox["diskSizeMb"], sandbox["timeoutSec"]) == (1, 512, 5120, 0)
    assert (sandbox["state"], sandbox["goal"], sandbox["cause"]) == ("RUNNING", "RUNNING", "USER")
    assert sandbox["template"]["name"] == "base"
    assert sandbox["template"]["isPlatform"]
    assert (operation["kind"], operation["state"], operation["sandboxId"]) == ("CREATE", "SUCCEEDED", sandbox["id"])
    assert operation["actor"].startswith("key-")
    assert all(stage["durationMs"] >= 0 for stage in operation["stages"])
    assert sandbox["lastOperation"]["id"] == operation["id"]
    allowed = {entry["action"]: entry for entry in sandbox["allowedActions"]}
    assert allowed["PAUSE"] == {"action": "PAUSE", "allowed": True, "reason": None}
    assert not allowed["RESUME"]["allowed"]
    assert allowed["RESUME"]["reason"].endswith(".")
    assert await client.ask(ONE, {"id": sandbox["id"]}) == sandbox


async def test_the_viewer_is_the_key(client: Client) -> None:
    viewer = await client.ask("{ viewer { teamId teamName keyId keyName isPlatformAdmin } }")

    assert viewer["teamId"].startswith("team-")
    assert viewer["keyId"].startswith("key-")
    assert viewer["teamName"].startswith("team ")
    assert (viewer["keyName"], viewer["isPlatformAdmin"]) == ("key of a test", False)
    assert client.key.split("_")[2] not in str(viewer)


async def test_lists_are_paged_both_ways_by_key(client: Client) -> None:
    ids = [(await client.create(name=f"n{number}"))["id"] for number in range(5)]
    newest_first = ids[::-1]

    page = await _list(client, first=2)
    assert [node["id"] for node in page["nodes"]] == newest_first[:2]
    assert [edge["node"]["id"] for edge in page["edges"]] == newest_first[:2]
    assert page["totalCount"] == 5
    assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (True, False)
    assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]

    following = await _list(client, first=2, after=page["pageInfo"]["endCursor"])
    assert [node["id"] for node in following["nodes"]] == newest_first[2:4]
    assert following["pageInfo"]["hasNextPage"]
    back = await _list(client, last=1, before=following["pageInfo"]["startCursor"])
    assert [node["id"] for node in back["nodes"]] == [newest_first[1]]
    assert [node["id"] for node in (await _list(client, last=2))["nodes"]] == newest_first[3:]
    assert [node["id"] for node in (await _list(client, order="OLDEST_FIRST"))["nodes"]] == ids


async def test_lists_are_filtered(client: Client) -> None:
    red = await client.create(name="Red fox", labels=[{"key": "colour", "value": "red"}])
    blue = await client.create(name="blue jay")
    await client.command("pauseSandbox", "sandbox { ...S }", id=blue["id"])

    async def found(**filter_: Any) -> list[str]:
        return [node["id"] for node in (await _list(client, filter=filter_))["nodes"]]

    assert await found(labels=[{"key": "colour", "value": "red"}]) == [red["id"]]
    assert await found(labels=[{"key": "colour", "value": "blue"}]) == []
    assert await found(states=["PAUSED"]) == [blue["id"]]
    assert await found(states=["DELETED", "UNREACHABLE"]) == []
    assert await found(nameContains="FOX") == [red["id"]]
    assert await found(nameContains="%") == []
    assert await found(templateId=red["template"]["id"]) == [blue["id"], red["id"]]
    assert await found(templateId=f"tpl-{UNKNOWN}") == []
    assert await found(createdAfter=blue["createdAt"]) == [blue["id"]]
    assert await found(createdBefore=blue["createdAt"]) == [red["id"]]
    assert await found(createdAfter="2020-01-01T00:00:00") == [blue["id"], red["id"]]


async def test_operations_are_fetched_with_a_list_when_asked_for(client: Client) -> None:
    sandbox = await client.create()

    found = await client.ask("{ sandboxes { nodes { id lastOperation { id kind } } } }")

    assert found["nodes"] == [
        {"id": sandbox["id"], "lastOperation": {"id": sandbox["lastOperation"]["id"], "kind": "CREATE"}}
    ]


async def test_templates_are_found_by_id_by_name_and_in_a_list(client: Client) -> None:
    fields = "id name description type diskSizeMb vcpus memoryMb createdAt isPlatform"
    base = await client.ask(f'{{ template(name: "base") {{ {fields} }} }}')

    assert (base["name"], base["type"], base["isPlatform"]) == ("base", "BASE", True)
    assert await client.ask(f"query ($id: ID!) {{ template(id: $id) {{ {fields} }} }}", {"id": base["id"]}) == base
    listed = await client.ask(
        f'{{ templates(filter: {{name: "base", type: BASE}}) {{ nodes {{ {fields} }} totalCount }} }}'
    )
    assert listed == {"nodes": [base], "totalCount": 1}
    assert await client.ask('{ template(name: "nothing") { id } }') is None
    assert await client.ask(f'{{ template(id: "tpl-{UNKNOWN}") {{ id }} }}') is None
    assert (await client.ask("{ templates(filter: {type: SNAPSHOT}) { nodes { id } } }"))["nodes"] == []
    assert await client.code('{ template(id: "x", name: "base") { id } }') == "INVALID"
    assert await client.code("{ template { id } }") == "INVALID"


async def test_anything_is_found_by_its_global_id(client: Client) -> None:
    sandbox = await client.create()
    ids = [sandbox["id"], sandbox["template"]["id"], sandbox["lastOperation"]["id"], f"sb-{UNKNOWN}", f"team-{UNKNOWN}"]

    nodes = await client.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", {"ids": ids})

    types = ["Sandbox", "Template", "Operation"]
    assert nodes == [{"__typename": type_, "id": id_} for type_, id_ in zip(types, ids, strict=False)] + [None, None]
    one = await client.ask("query ($id: ID!) { node(id: $id) { ... on Sandbox { name state } } }", {"id": ids[0]})
    assert one == {"name": "", "state": "RUNNING"}
    operation = await client.ask(
        "query ($id: ID!) { operation(id: $id) { kind state error { code } } }", {"id": ids[2]}
    )
    assert operation == {"kind": "CREATE", "state": "SUCCEEDED", "error": None}
    assert await client.code("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ids * 21}) == "INVALID"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "MALFORMED_ID"),
        ("1", "MALFORMED_ID"),
        (UNKNOWN, "MALFORMED_ID"),
        (f"sb-{UNKNOWN}x", "MALFORMED_ID"),
        (f"sb-{UNKNOWN.upper()}", "MALFORMED_ID"),
        (f"sb-{UNKNOWN}\n", "MALFORMED_ID"),
        ("sb-\0", "MALFORMED_ID"),
        ("x" * 100_000, "MALFORMED_ID"),
        (f"tpl-{UNKNOWN}", "WRONG_KIND_OF_ID"),
    ],
)
async def test_malformed_ids_are_told_from_unknown_ones(client: Client, text: str, code: str) -> None:
    assert await client.code(ONE, {"id": text}) == code
    if code == "MALFORMED_ID":
        assert await client.code("query ($id: ID!) { node(id: $id) { id } }", {"id": text}) == code


async def test_foreign_and_unknown_things_look_the_same(client: Client, other_client: Client) -> None:
    foreign = await other_client.create(name="secret")
    ids = [foreign["id"], foreign["lastOperation"]["id"]]

    assert await client.ask(ONE, {"id": foreign["id"]}) is None
    assert await client.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ids}) == [None, None]
    assert (await _list(client))["totalCount"] == 0
    refusals = []
    for id_ in (foreign["id"], f"sb-{UNKNOWN}"):
        refusals += [
            await client.refusal("pauseSandbox", id=id_),
            await client.refusal("resumeSandbox", id=id_),
            await client.refusal("deleteSandbox", id=id_),
            await client.refusal("pingSandbox", id=id_),
            await client.refusal("exec", sandboxId=id_, argv=["true"]),
            await client.refusal("readFile", sandboxId=id_, path="/etc/hostname"),
            await client.refusal("writeFile", sandboxId=id_, path="/x", text=""),
        ]
    assert {refusal["code"] for refusal in refusals} == {"NOT_FOUND"}
    assert (await other_client.ask(ONE, {"id": foreign["id"]}))["version"] == foreign["version"]


@pytest.mark.parametrize(
    "given",
    [
        {"first": 0},
        {"first": 101},
        {"first": -1},
        {"first": 2**31 - 1},
        {"last": 0},
        {"first": 1, "last": 1},
        {"after": "nonsense"},
        {"after": ""},
        {"after": "é"},
        {"before": "AAAA"},
        {"filter": {"nameContains": "a\0b"}},
        {"filter": {"labels": [{"key": "a\0", "value": ""}]}},
        {"filter": {"labels": [{"key": str(number), "value": ""} for number in range(1000)]}},
        {"filter": {"nameContains": "x" * 10_000}},
    ],
)
async def test_arguments_of_lists_are_checked(client: Client, given: dict[str, Any]) -> None:
    assert await client.code(LIST, {"order": "NEWEST_FIRST"} | given) == "INVALID"


@pytest.mark.parametrize(
    "given",
    [
        {"first": 2**63},
        {"first": "1"},
        {"order": "SIDEWAYS"},
        {"filter": {"createdAfter": "yesterday"}},
        {"filter": {"createdAfter": "9999-12-31T23:59:59-12:00"}},
        {"filter": {"createdAfter": 1}},
        {"filter": {"states": ["WRONG"]}},
        {"filter": {"unknown": 1}},
    ],
)
async def test_values_of_the_wrong_type_are_refused_by_the_schema(client: Client, given: dict[str, Any]) -> None:
    assert await client.code(LIST, {"order": "NEWEST_FIRST"} | given) == "BAD_USER_INPUT"


async def test_admins_see_hosts_and_tasks(admin_client: Client) -> None:
    admin = await admin_client.ask(
        """{ admin { hosts { id name address reachable driver isolation accelerator qemuVersion agentVersion cpuCount
        memoryTotalMb memoryFreeMb diskTotalMb diskFreeMb lastSeenAt shortcomings sandboxCount }
        reconciler { name lastRunAt lastSuccessAt runs failures summary } } }"""
    )

    (host,) = admin["hosts"]
    assert (host["driver"], host["isolation"], host["reachable"]) == ("simulated", "NONE", True)
    assert admin["reconciler"]
    query = "query ($id: ID!) { admin { host(id: $id) { id } } node(id: $id) { __typename } }"
    found = await admin_client.ask(query, {"id": host["id"]})
    assert found == {"admin": {"host": {"id": host["id"]}}, "node": {"__typename": "Host"}}


async def test_others_do_not(client: Client, admin_client: Client) -> None:
    (host,) = (await admin_client.ask("{ admin { hosts { id } } }"))["hosts"]

    assert await client.code("{ admin { hosts { id } } }") == "FORBIDDEN"
    assert await client.ask("query ($id: ID!) { node(id: $id) { id } }", {"id": host["id"]}) is None

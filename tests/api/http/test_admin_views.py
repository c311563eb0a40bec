"""The sandboxes and operations of all teams, as platform admins meet them on the whole stack."""

from typing import Any

import pytest

from tests.api.client import Client
from tests.api.http.test_queries import UNKNOWN

SANDBOX = """id name state teamId hostId template { id name hosts { hostId } allowedActions { allowed reason } }
    allowedActions { action allowed reason } lastOperation { id kind teamId template { id } }
    parent { id teamId allowedActions { allowed } }"""
ONE = f"query ($id: ID!) {{ admin {{ sandbox(id: $id) {{ {SANDBOX} }} }} }}"
PAGE_INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
SANDBOXES = f"""query ($first: Int, $after: String, $last: Int, $before: String, $filter: SandboxFilter, $team: ID,
    $order: SandboxOrder! = NEWEST_FIRST) {{
  admin {{ sandboxes(first: $first, after: $after, last: $last, before: $before, filter: $filter, teamId: $team,
    orderBy: $order) {{ edges {{ cursor node {{ id }} }} nodes {{ {SANDBOX} }} totalCount {PAGE_INFO} }} }} }}"""
OPERATIONS = f"""query ($first: Int, $after: String, $last: Int, $before: String, $filter: OperationFilter) {{
  admin {{ operations(first: $first, after: $after, last: $last, before: $before, filter: $filter) {{
    edges {{ cursor node {{ id }} }} nodes {{ id kind state sandboxId teamId template {{ id name }} }}
    totalCount {PAGE_INFO} }} }} }}"""


async def _sandboxes(client: Client, **given: Any) -> Any:
    return (await client.ask(SANDBOXES, given))["sandboxes"]


async def _operations(client: Client, **given: Any) -> Any:
    return (await client.ask(OPERATIONS, given))["operations"]


async def _team_id(client: Client) -> str:
    return str((await client.ask("{ viewer { teamId } }"))["teamId"])


async def test_an_admin_looks_at_another_teams_sandbox_and_all_that_belongs_to_it(
    client: Client, admin_client: Client
) -> None:
    parent = await client.create(name="theirs")
    made = await client.command(
        "createTemplate", "template { id } operation { id }", sandboxId=parent["id"], name="mine"
    )
    forked = await client.command("forkSandbox", "children { sandbox { id } }", id=parent["id"], count=1)
    child_id, team_id = forked["children"][0]["sandbox"]["id"], await _team_id(client)

    (host,) = (await admin_client.ask("{ admin { hosts { id } } }"))["hosts"]
    found = (await admin_client.ask(ONE, {"id": child_id}))["sandbox"]
    assert (found["id"], found["state"], found["teamId"]) == (child_id, "RUNNING", team_id)
    assert found["hostId"] == host["id"]
    assert (found["lastOperation"]["kind"], found["lastOperation"]["teamId"]) == ("CREATE", team_id)
    assert (found["parent"]["id"], found["parent"]["teamId"]) == (parent["id"], team_id)
    assert {entry["allowed"] for entry in found["allowedActions"] + found["parent"]["allowedActions"]} == {False}
    assert {entry["reason"] for entry in found["allowedActions"]} == {
        "The sandbox belongs to another team; only that team can do this."
    }
    listed = await _sandboxes(admin_client, team=team_id)
    assert [node["id"] for node in listed["nodes"]] == [child_id, parent["id"]]
    assert listed["nodes"][0] == found
    (operation,) = (await _operations(admin_client, filter={"teamId": team_id, "kind": "CREATE_TEMPLATE"}))["nodes"]
    assert operation["id"] == made["operation"]["id"]
    assert operation["template"] == {"id": made["template"]["id"], "name": "mine"}


async def test_a_template_of_another_team_is_one_that_an_admin_cannot_delete(
    client: Client, admin_client: Client
) -> None:
    sandbox = await client.create()
    made = await client.command("createTemplate", "template { id }", sandboxId=sandbox["id"], name="mine")
    query = "{ admin { templates(last: 100) { nodes { id allowedActions { allowed reason } } } } }"
    nodes = (await admin_client.ask(query))["templates"]["nodes"]
    (entry,) = next(node["allowedActions"] for node in nodes if node["id"] == made["template"]["id"])
    assert entry == {"allowed": False, "reason": "It belongs to another team; only that team can delete it."}
    assert (await admin_client.refusal("deleteTemplate", id=made["template"]["id"]))["code"] == "NOT_FOUND"


async def test_an_admins_own_sandbox_is_told_as_its_team_sees_it(admin_client: Client) -> None:
    own = await admin_client.create()

    found = (await admin_client.ask(ONE, {"id": own["id"]}))["sandbox"]
    assert found["allowedActions"] == own["allowedActions"]
    (listed,) = (await _sandboxes(admin_client, team=await _team_id(admin_client)))["nodes"]
    assert listed["allowedActions"] == own["allowedActions"]


async def test_a_team_sees_its_id_and_not_where_its_sandboxes_are(client: Client) -> None:
    sandbox = await client.create()
    query = "query ($id: ID!) { sandbox(id: $id) { teamId hostId lastOperation { teamId } } }"
    team_id = await _team_id(client)
    found = await client.ask(query, {"id": sandbox["id"]})
    assert found == {"teamId": team_id, "hostId": None, "lastOperation": {"teamId": team_id}}


async def test_admin_is_the_only_way_to_foreign_things(client: Client, admin_client: Client) -> None:
    sandbox = await client.create()
    ids = [sandbox["id"], sandbox["lastOperation"]["id"]]

    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert await admin_client.ask(query, {"ids": ids}) == [None, None]
    assert await admin_client.ask("query ($id: ID!) { sandbox(id: $id) { id } }", {"id": ids[0]}) is None
    assert await admin_client.ask("query ($id: ID!) { operation(id: $id) { id } }", {"id": ids[1]}) is None
    assert (await admin_client.ask("{ sandboxes { totalCount } }"))["totalCount"] == 0
    assert (await admin_client.refusal("pauseSandbox", id=ids[0]))["code"] == "NOT_FOUND"


@pytest.mark.parametrize(("query", "given"), [(ONE, {"id": f"sb-{UNKNOWN}"}), (SANDBOXES, {}), (OPERATIONS, {})])
async def test_others_are_refused(client: Client, query: str, given: dict[str, Any]) -> None:
    assert await client.code(query, given) == "FORBIDDEN"


async def test_sandboxes_of_all_teams_are_paged_filtered_and_ordered(
    client: Client, other_client: Client, admin_client: Client
) -> None:
    mark = (await _team_id(client))[-12:]
    who = (client, other_client, client)
    ids = [(await who[number].create(name=f"{mark} {number}"))["id"] for number in range(3)]
    ours = {"nameContains": mark.upper()}

    page = await _sandboxes(admin_client, first=2, filter=ours)
    assert [edge["node"]["id"] for edge in page["edges"]] == [node["id"] for node in page["nodes"]] == ids[:0:-1]
    assert page["totalCount"] == 3
    assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (True, False)
    after, before = page["pageInfo"]["endCursor"], page["pageInfo"]["startCursor"]
    following = await _sandboxes(admin_client, first=2, after=after, filter=ours)
    assert [node["id"] for node in following["nodes"]] == ids[:1]
    back = await _sandboxes(admin_client, last=2, before=following["pageInfo"]["startCursor"], filter=ours)
    assert back["pageInfo"]["startCursor"] == before
    oldest_first = await _sandboxes(admin_client, filter=ours, order="OLDEST_FIRST")
    assert [node["id"] for node in oldest_first["nodes"]] == ids
    of_one = await _sandboxes(admin_client, filter=ours, team=await _team_id(other_client))
    assert ([node["id"] for node in of_one["nodes"]], of_one["totalCount"]) == (ids[1:2], 1)
    await client.command("deleteSandbox", "__typename", id=ids[0])
    assert (await _sandboxes(admin_client, filter=ours))["totalCount"] == 2
    assert (await admin_client.ask(ONE, {"id": ids[0]}))["sandbox"]["state"] == "DELETED"
    assert (await admin_client.ask(ONE, {"id": f"sb-{UNKNOWN}"}))["sandbox"] is None


async def test_operations_of_all_teams_are_paged_and_filtered(client: Client, admin_client: Client) -> None:
    sandbox, team_id = await client.create(), await _team_id(client)
    for name in ("pauseSandbox", "resumeSandbox", "pauseSandbox"):
        await client.command(name, "__typename", id=sandbox["id"])
    ours = {"teamId": team_id}

    page = await _operations(admin_client, first=3, filter=ours)
    assert [node["kind"] for node in page["nodes"]] == ["PAUSE", "RESUME", "PAUSE"]
    assert {(node["sandboxId"], node["teamId"], node["state"]) for node in page["nodes"]} == {
        (sandbox["id"], team_id, "SUCCEEDED")
    }
    assert [edge["node"]["id"] for edge in page["edges"]] == [node["id"] for node in page["nodes"]]
    assert page["totalCount"] == 4
    following = await _operations(admin_client, first=3, after=page["pageInfo"]["endCursor"], filter=ours)
    assert [node["kind"] for node in following["nodes"]] == ["CREATE"]
    assert not following["pageInfo"]["hasNextPage"]
    back = await _operations(admin_client, last=1, before=following["pageInfo"]["startCursor"], filter=ours)
    assert back["nodes"] == page["nodes"][2:]
    oldest = await _operations(admin_client, last=1, filter=ours)
    assert oldest["nodes"] == following["nodes"]
    for more, count in (
        ({"kind": "PAUSE"}, 2),
        ({"state": "FAILED"}, 0),
        ({"state": "SUCCEEDED", "sandboxId": sandbox["id"]}, 4),
        ({"sandboxId": f"sb-{UNKNOWN}"}, 0),
    ):
        found = await _operations(admin_client, filter=ours | more)
        assert (len(found["nodes"]), found["totalCount"]) == (count, count)
    assert (await _operations(admin_client, filter={"teamId": f"team-{UNKNOWN}"}))["nodes"] == []


@pytest.mark.parametrize(
    ("query", "given", "code"),
    [
        (ONE, {"id": "x"}, "MALFORMED_ID"),
        (ONE, {"id": f"op-{UNKNOWN}"}, "WRONG_KIND_OF_ID"),
        (SANDBOXES, {"team": "default"}, "MALFORMED_ID"),
        (SANDBOXES, {"team": f"sb-{UNKNOWN}"}, "WRONG_KIND_OF_ID"),
        (SANDBOXES, {"first": 101}, "INVALID"),
        (SANDBOXES, {"after": "nonsense"}, "INVALID"),
        (SANDBOXES, {"filter": {"nameContains": "a\0b"}}, "INVALID"),
        (OPERATIONS, {"filter": {"teamId": "\0"}}, "MALFORMED_ID"),
        (OPERATIONS, {"filter": {"sandboxId": f"team-{UNKNOWN}"}}, "WRONG_KIND_OF_ID"),
        (OPERATIONS, {"first": 1, "last": 1}, "INVALID"),
        (OPERATIONS, {"before": "AAAA"}, "INVALID"),
        (OPERATIONS, {"filter": {"kind": "WRONG"}}, "BAD_USER_INPUT"),
    ],
)
async def test_arguments_are_checked(admin_client: Client, query: str, given: dict[str, Any], code: str) -> None:
    assert await admin_client.code(query, given) == code

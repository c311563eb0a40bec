"""Everything that can be asked, on the whole stack."""

from tests.api.client import CREATE, SANDBOX, Client

UNKNOWN = "01234567-89ab-7cde-8f01-23456789abcd"


async def test_a_created_sandbox_is_running_and_described(client: Client) -> None:
    payload = await client.ask(
        CREATE, {"input": {"name": "first", "labels": [{"key": "env", "value": "test"}], "environment": []}}
    )

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
    assert (
        await client.ask(
            SANDBOX.split("fragment P")[0] + "query ($id: ID!) { sandbox(id: $id) { ...S } }", {"id": sandbox["id"]}
        )
        == sandbox
    )

"""Timeouts that cannot be, as clients may give them: a typed answer, and nothing has changed."""

import json
from typing import Any

import pytest

from tests.api.client import Client

CREATE = "createSandbox"
SET = "setSandboxTimeout"
BAD = [
    ("-1", "INVALID"),
    (str(30 * 24 * 3600 + 1), "INVALID"),
    (str(2**31 - 1), "INVALID"),
    (str(2**31), "BAD_USER_INPUT"),
    (str(2**63), "BAD_USER_INPUT"),
    ("1.5", "BAD_USER_INPUT"),
    ("1e3000", "MALFORMED_JSON"),
    ('"60"', "BAD_USER_INPUT"),
    ('""', "BAD_USER_INPUT"),
    ("true", "BAD_USER_INPUT"),
    ("[60]", "BAD_USER_INPUT"),
    ("{}", "BAD_USER_INPUT"),
    # JSON has no such numbers
    ("NaN", "MALFORMED_JSON"),
    ("Infinity", "MALFORMED_JSON"),
]
"""As they stand in the variables, and the code that they are answered with."""


def _document(command: str) -> str:
    type_ = command[0].upper() + command[1:] + "Input"
    return f"mutation ($input: {type_}!) {{ {command}(input: $input) {{ userErrors {{ code path }} }} }}"


async def _answer(client: Client, body: str, command: str) -> tuple[str, list[str] | None]:
    """The only error: its code, and the path if it is one of the user's."""
    response = await client.http.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.status_code in {200, 400}
    answer: dict[str, Any] = response.json()
    if "errors" in answer:
        (error,) = answer["errors"]
        assert error["extensions"]["requestId"]
        return error["extensions"]["code"], None
    (error,) = answer["data"][command]["userErrors"]
    return error["code"], error["path"]


async def _state(client: Client) -> Any:
    return await client.ask("{ sandboxes { totalCount nodes { id version timeoutSec state autoPauseAt updatedAt } } }")


@pytest.mark.parametrize(("value", "code"), BAD)
@pytest.mark.parametrize("command", [CREATE, SET])
async def test_a_timeout_that_cannot_be_is_refused_and_changes_nothing(
    client: Client, command: str, value: str, code: str
) -> None:
    sandbox = await client.create(timeoutSec=3600)
    before = await _state(client)
    given = f'"timeoutSec": {value}' + (f', "id": "{sandbox["id"]}"' if command == SET else "")
    body = f'{{"query": {json.dumps(_document(command))}, "variables": {{"input": {{{given}}}}}}}'
    assert await _answer(client, body, command) == (code, ["timeoutSec"] if code == "INVALID" else None)
    assert await _state(client) == before


@pytest.mark.parametrize("value", ["-1", str(2**31), "1.5", '"60"', "NaN", "null"])
@pytest.mark.parametrize("command", [CREATE, SET])
async def test_the_same_holds_for_what_is_written_into_the_document(client: Client, command: str, value: str) -> None:
    sandbox = await client.create(timeoutSec=3600)
    before = await _state(client)
    given = f"timeoutSec: {value}" + (f', id: "{sandbox["id"]}"' if command == SET else "")
    document = f"mutation {{ {command}(input: {{{given}}}) {{ userErrors {{ code path }} }} }}"
    if (command, value) == (CREATE, "null"):
        # the default: no timeout
        assert await client.ask(document) == {"userErrors": []}
        assert (await _state(client))["totalCount"] == 2
        return
    code, _ = await _answer(client, json.dumps({"query": document}), command)
    assert code == ("INVALID" if value == "-1" else "GRAPHQL_VALIDATION_FAILED")
    assert await _state(client) == before

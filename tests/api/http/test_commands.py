"""Everything that can be done, on the whole stack, and what is said when it cannot be."""

import asyncio
from typing import Any

import pytest

from tests.api.client import CREATE, Client

COMMANDED = "sandbox { ...S } operation { kind state }"
RESULT = """result { exitCode signal timedOut durationMs stdout stderr stdoutBase64 stderrBase64
    stdoutTruncated stderrTruncated }"""
FILE = "file { path sizeBytes mode modifiedAt }"


async def test_a_sandbox_lives_through_pause_and_resume_and_is_deleted(client: Client) -> None:
    sandbox = await client.create()
    id_ = sandbox["id"]

    paused = await client.command("pauseSandbox", COMMANDED, id=id_)
    assert paused["sandbox"]["state"] == "PAUSED"
    assert paused["operation"] == {"kind": "PAUSE", "state": "SUCCEEDED"}
    allowed = {entry["action"]: entry["allowed"] for entry in paused["sandbox"]["allowedActions"]}
    assert allowed["RESUME"]
    assert not allowed["EXEC"]
    resumed = await client.command("resumeSandbox", COMMANDED, id=id_)
    assert resumed["sandbox"]["state"] == "RUNNING"
    pinged = await client.command("pingSandbox", "sandbox { ...S }", id=id_)
    assert pinged["sandbox"]["state"] == "RUNNING"
    deleted = await client.command("deleteSandbox", COMMANDED, id=id_)
    assert deleted["sandbox"]["state"] == "DELETED"
    again = await client.command("deleteSandbox", COMMANDED, id=id_)
    assert again["userErrors"] == []
    versions = [int(found["sandbox"]["version"]) for found in (paused, resumed, deleted)]
    assert int(sandbox["version"]) < versions[0] < versions[1] < versions[2]


async def test_a_command_that_nobody_waits_for_goes_on(client: Client) -> None:
    payload = await client.ask(CREATE, {"input": {"waitSeconds": 0}})
    assert payload["operation"]["state"] == "RUNNING"

    async with asyncio.timeout(10):
        while True:
            found = await client.ask(
                "query ($id: ID!) { operation(id: $id) { state finishedAt } }", {"id": payload["operation"]["id"]}
            )
            if found["state"] == "SUCCEEDED":
                break
    assert found["finishedAt"]


async def test_the_same_idempotency_key_makes_one_sandbox(client: Client) -> None:
    first = await client.create(name="one", idempotencyKey="k")

    assert (await client.create(name="one", idempotencyKey="k"))["id"] == first["id"]
    assert (await client.refusal("createSandbox", name="two", idempotencyKey="k"))["code"] == "IDEMPOTENCY_CONFLICT"
    assert (await client.ask("{ sandboxes { totalCount } }"))["totalCount"] == 1


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"templateName": "nothing"}, "NOT_FOUND", "templateName"),
        ({"templateId": "tpl-01234567-89ab-7cde-8f01-23456789abcd"}, "NOT_FOUND", "templateId"),
        ({"templateId": "x"}, "MALFORMED_ID", "templateId"),
        ({"templateId": "sb-01234567-89ab-7cde-8f01-23456789abcd"}, "WRONG_KIND_OF_ID", "templateId"),
        ({"templateId": "tpl-01234567-89ab-7cde-8f01-23456789abcd", "templateName": "base"}, "INVALID", "templateName"),
        ({"memoryMb": 0}, "INVALID", "memoryMb"),
        ({"memoryMb": -1}, "INVALID", "memoryMb"),
        ({"memoryMb": 2**31 - 1}, "INVALID", "memoryMb"),
        ({"diskSizeMb": 2048}, "UNSUPPORTED_SHAPE", "diskSizeMb"),
        ({"diskSizeMb": 0}, "INVALID", "diskSizeMb"),
        ({"vcpus": 0}, "INVALID", "vcpus"),
        ({"timeoutSec": -1}, "INVALID", "timeoutSec"),
        ({"timeoutSec": 30 * 24 * 3600 + 1}, "INVALID", "timeoutSec"),
        ({"timeoutSec": 2**31 - 1}, "INVALID", "timeoutSec"),
        ({"name": "a\0b"}, "INVALID", "name"),
        ({"name": "x" * 101}, "INVALID", "name"),
        ({"waitSeconds": -1}, "INVALID", "waitSeconds"),
        ({"idempotencyKey": ""}, "INVALID", "idempotencyKey"),
        ({"idempotencyKey": "\0"}, "INVALID", "idempotencyKey"),
        ({"environment": [{"name": "A=B", "value": ""}]}, "INVALID", "environment"),
        ({"environment": [{"name": "A", "value": "\0"}]}, "INVALID", "environment"),
        ({"environment": [{"name": "A", "value": ""}] * 2}, "INVALID", "environment"),
        ({"labels": [{"key": str(number), "value": ""} for number in range(10_000)]}, "INVALID", "labels"),
    ],
)
async def test_a_sandbox_that_cannot_be_is_refused_with_a_code(
    client: Client, given: dict[str, Any], code: str, path: str
) -> None:
    refusal = await client.refusal("createSandbox", **given)

    assert (refusal["code"], refusal["path"][:1], refusal["retryable"]) == (code, [path], False)
    assert refusal["message"].endswith((".", "…"))
    assert (await client.ask("{ sandboxes { totalCount } }"))["totalCount"] == 0


async def test_numbers_that_no_integer_holds_are_refused_by_the_schema(client: Client) -> None:
    assert await client.code(CREATE, {"input": {"memoryMb": 2**50}}) == "BAD_USER_INPUT"


async def test_null_means_the_default(client: Client) -> None:
    sandbox = await client.create(name=None, vcpus=None, memoryMb=None, labels=None, environment=None, waitSeconds=None)

    assert (sandbox["vcpus"], sandbox["memoryMb"]) == (1, 512)


@pytest.mark.parametrize("name", ["pauseSandbox", "resumeSandbox", "deleteSandbox", "pingSandbox"])
async def test_malformed_ids_in_commands_are_user_errors(client: Client, name: str) -> None:
    refusal = await client.refusal(name, id="nonsense")

    assert (refusal["code"], refusal["path"]) == ("MALFORMED_ID", ["id"])


async def test_commands_in_the_wrong_state_say_what_state(client: Client) -> None:
    id_ = (await client.create())["id"]
    assert (await client.refusal("resumeSandbox", id=id_))["code"] == "WRONG_STATE"
    await client.command("pauseSandbox", COMMANDED, id=id_)

    for name, given in (
        ("exec", {"sandboxId": id_, "argv": ["true"]}),
        ("readFile", {"sandboxId": id_, "path": "/x"}),
        ("writeFile", {"sandboxId": id_, "path": "/x", "text": ""}),
        ("pingSandbox", {"id": id_}),
        ("pauseSandbox", {"id": id_}),
    ):
        refusal = await client.refusal(name, **given)
        assert refusal["code"] == "WRONG_STATE", name
        assert "paused" in refusal["message"]


async def test_commands_run_with_argv_and_by_shell(client: Client) -> None:
    id_ = (await client.create(environment=[{"name": "A", "value": "1"}]))["id"]

    echo = await client.command("exec", RESULT, sandboxId=id_, argv=["echo", "grüß", "dich"])
    assert echo["result"]["stdout"] == "grüß dich\n"
    assert echo["result"]["stdoutBase64"] == "Z3LDvMOfIGRpY2gK"
    assert echo["result"]["stderrBase64"] == ""
    assert (echo["result"]["exitCode"], echo["result"]["signal"], echo["result"]["timedOut"]) == (0, None, False)
    given = {"sandboxId": id_, "shell": "echo out; echo err >&2; exit 3"}
    shell = await client.command("exec", RESULT, **given)
    assert (shell["result"]["stdout"], shell["result"]["stderr"]) == ("out\n", "err\n")
    assert shell["result"]["exitCode"] == 3
    cat = await client.command("exec", RESULT, sandboxId=id_, argv=["cat"], stdinBase64="/v8=")
    assert (cat["result"]["stdout"], cat["result"]["stdoutBase64"]) == ("\ufffd\ufffd", "/v8=")
    text = await client.command("exec", RESULT, sandboxId=id_, argv=["cat"], stdin="a\0b")
    assert text["result"]["stdout"] == "a\0b"
    env = await client.command(
        "exec", RESULT, sandboxId=id_, argv=["env"], environment=[{"name": "B", "value": "2"}], cwd="/"
    )
    assert {"A=1", "B=2"} <= set(env["result"]["stdout"].splitlines())


async def test_a_command_is_ended_when_its_time_is_over(client: Client) -> None:
    id_ = (await client.create())["id"]

    payload = await client.command("exec", RESULT, sandboxId=id_, argv=["sleep", "60"], timeoutSec=0.1)

    assert (payload["result"]["timedOut"], payload["result"]["signal"]) == (True, 9)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "INVALID"),
        ({"argv": ["true"], "shell": "true"}, "INVALID"),
        ({"argv": []}, "INVALID"),
        ({"argv": [""]}, "INVALID"),
        ({"argv": ["a\0b"]}, "INVALID"),
        ({"argv": ["echo", "x" * 200_000]}, "INVALID"),
        ({"shell": ""}, "INVALID"),
        ({"argv": ["true"], "cwd": "relative"}, "INVALID"),
        ({"argv": ["true"], "cwd": "/\0"}, "INVALID"),
        ({"argv": ["true"], "cwd": "/missing"}, "NO_SUCH_DIRECTORY"),
        ({"argv": ["missing"]}, "COMMAND_NOT_FOUND"),
        ({"argv": ["true"], "timeoutSec": 0}, "INVALID"),
        ({"argv": ["true"], "timeoutSec": 1e300}, "INVALID"),
        ({"argv": ["true"], "stdin": "", "stdinBase64": ""}, "INVALID"),
        ({"argv": ["true"], "stdinBase64": "é"}, "INVALID"),
        ({"argv": ["true"], "stdinBase64": "a"}, "INVALID"),
        ({"argv": ["true"], "environment": [{"name": "", "value": ""}]}, "INVALID"),
    ],
)
async def test_commands_that_cannot_be_run_are_refused_with_a_code(
    client: Client, given: dict[str, Any], code: str
) -> None:
    id_ = (await client.create())["id"]

    assert (await client.refusal("exec", sandboxId=id_, **given))["code"] == code
    assert (await client.refusal("exec", sandboxId="nonsense", **given))["code"] == "MALFORMED_ID"


async def test_an_infinite_timeout_in_the_document_is_refused(client: Client) -> None:
    id_ = (await client.create())["id"]
    given = f'{{sandboxId: "{id_}", argv: ["true"], timeoutSec: 1e999}}'

    response = await client.post(f"mutation {{ exec(input: {given}) {{ userErrors {{ code }} }} }}")

    assert "INVALID" in str(response) or "GRAPHQL_VALIDATION_FAILED" in str(response)
    assert "INTERNAL" not in str(response)


async def test_files_are_written_and_read(client: Client) -> None:
    id_ = (await client.create())["id"]

    written = await client.command("writeFile", FILE, sandboxId=id_, path="/root/a", text="grüß", mode=0o600)
    assert written["file"] == {"path": "/root/a", "sizeBytes": 6, "mode": 0o600, "modifiedAt": None}
    read = await client.command("readFile", FILE + " text contentBase64", sandboxId=id_, path="/root/a")
    assert (read["text"], read["contentBase64"]) == ("grüß", "Z3LDvMOf")
    assert (read["file"]["sizeBytes"], read["file"]["mode"]) == (6, 0o600)
    await client.command("writeFile", FILE, sandboxId=id_, path="/root/b", contentBase64="/v8=")
    read = await client.command("readFile", FILE + " text contentBase64", sandboxId=id_, path="/root/b")
    assert (read["text"], read["contentBase64"]) == (None, "/v8=")
    await client.command("writeFile", FILE, sandboxId=id_, path="/root/empty", text="")
    assert (await client.command("readFile", "text", sandboxId=id_, path="/root/empty"))["text"] == ""


async def test_files_of_half_a_mebibyte_go_inline_and_larger_ones_do_not(client: Client) -> None:
    id_ = (await client.create())["id"]
    largest = "x" * (512 * 1024)

    assert (await client.command("writeFile", FILE, sandboxId=id_, path="/root/a", text=largest))["userErrors"] == []
    assert (await client.command("readFile", "text", sandboxId=id_, path="/root/a"))["text"] == largest
    refusal = await client.refusal("writeFile", sandboxId=id_, path="/root/b", text=largest + "x")
    assert refusal["code"] == "FILE_TOO_LARGE"
    await client.http.put(f"/sandboxes/{id_}/files", params={"path": "/root/b"}, content=(largest + "x").encode())
    assert (await client.refusal("readFile", sandboxId=id_, path="/root/b"))["code"] == "FILE_TOO_LARGE"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"path": "/root/a\0b", "text": ""}, "INVALID"),
        ({"path": "relative", "text": ""}, "INVALID"),
        ({"path": "", "text": ""}, "INVALID"),
        ({"path": "/" + "x" * 5_000, "text": ""}, "INVALID"),
        ({"path": "/root/a"}, "INVALID"),
        ({"path": "/root/a", "text": "", "contentBase64": ""}, "INVALID"),
        ({"path": "/root/a", "contentBase64": "é"}, "INVALID"),
        ({"path": "/root/a", "text": "", "mode": -1}, "INVALID"),
        ({"path": "/root/a", "text": "", "mode": 0o7777}, "INVALID"),
        ({"path": "/root", "text": ""}, "NOT_A_FILE"),
    ],
)
async def test_files_that_cannot_be_written_are_refused_with_a_code(
    client: Client, given: dict[str, Any], code: str
) -> None:
    id_ = (await client.create())["id"]

    assert (await client.refusal("writeFile", sandboxId=id_, **given))["code"] == code


@pytest.mark.parametrize(
    ("path", "code"), [("/missing", "NO_SUCH_FILE"), ("/root", "NOT_A_FILE"), ("/a\0b", "INVALID"), ("x", "INVALID")]
)
async def test_files_that_cannot_be_read_are_refused_with_a_code(client: Client, path: str, code: str) -> None:
    id_ = (await client.create())["id"]

    assert (await client.refusal("readFile", sandboxId=id_, path=path))["code"] == code

"""Whoever is shut out while something of theirs is under way has nothing any more, wherever it waits."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from starlette.types import Message

from agent.drivers.simulated.faults import Hang
from api.db.events import Cursor
from api.domain.sandbox import Sandbox
from api.http import files
from api.http.caller import Callers, Site
from api.http.files import FileEndpoint
from api.http.gateway import Gateway
from api.http.graphql import GraphQLOverHTTP
from api.http.socket_operations import Caller, Closing, Operations
from api.ids import DEFAULT_TEAM_ID, Kind, wire_id
from api.schema.execution import GraphQL
from api.schema.schema import build_schema
from api.services import auth
from tests.agent.serving import Served
from tests.api.running import Running, host_running, services_running
from tests.api.services.test_exec_and_files import chunks

SECONDS_MAX = 5.0
FIELD = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="one"\r\n\r\nfirst\r\n'
LIST = "subscription { sandboxes { __typename ... on SandboxChanged { sandbox { version } } } }"
GRAPHQL = GraphQL(build_schema())


@pytest_asyncio.fixture
async def host(tmp_path: Path) -> AsyncIterator[tuple[Served, str]]:
    async with host_running(tmp_path / "agent") as found:
        yield found


@pytest_asyncio.fixture
async def running(
    database_url: str, host: tuple[Served, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    monkeypatch.setattr(auth, "RECHECK_SECONDS", 0.01)
    async with services_running(database_url, host[1]) as found:
        yield found


@pytest_asyncio.fixture
async def key(running: Running) -> str:
    return await running.services.api_keys.make("leaving", team_id=DEFAULT_TEAM_ID, is_platform_admin=False)


class Client:
    """The other end of one request. It sends the pieces of a body, does what stands between them, and then waits for
    its answer. `on_send` is awaited with each message of that."""

    def __init__(self, *steps: bytes | Callable[[], Awaitable[object]]) -> None:
        self._steps = deque(steps)
        self.sent: list[Message] = []
        self.on_send: Callable[[Message], Awaitable[object]] | None = None

    async def receive(self) -> Message:
        while self._steps and not self.sent:
            step = self._steps.popleft()
            if isinstance(step, bytes):
                return {"type": "http.request", "body": step, "more_body": True}
            await step()
        if not self.sent or self.on_send:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if self.on_send:
            await self.on_send(message)

    @property
    def answer(self) -> tuple[int, Any]:
        """The status and what the body says."""
        return self.sent[0]["status"], orjson.loads(b"".join(message.get("body", b"") for message in self.sent))


def _gateway(running: Running) -> Gateway:
    return Gateway(GRAPHQL, running.services, lambda: (), Callers(running.services.auth, Site()))


def _scope(method: str, key: str, content_type: str = "", sandbox: Sandbox | None = None) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path_params": {"id": wire_id(Kind.SANDBOX, sandbox.id) if sandbox else ""},
        "query_string": b"path=/root/one" if method == "GET" else b"path=/root",
        "headers": [(b"authorization", f"Bearer {key}".encode()), (b"content-type", content_type.encode())],
        "client": ("192.0.2.1", 1),
        "state": {"request_id": "r"},
    }


async def _upload(running: Running, key: str, sandbox: Sandbox, client: Client) -> None:
    endpoint = FileEndpoint(running.services, Callers(running.services.auth, Site()))
    scope = _scope("POST", key, "multipart/form-data; boundary=b", sandbox)
    async with asyncio.timeout(SECONDS_MAX):
        await endpoint(scope, client.receive, client.send)


async def _download(running: Running, key: str, sandbox: Sandbox, client: Client) -> None:
    endpoint = FileEndpoint(running.services, Callers(running.services.auth, Site()))
    async with asyncio.timeout(SECONDS_MAX):
        await endpoint(_scope("GET", key, sandbox=sandbox), client.receive, client.send)


async def _revoke(running: Running) -> None:
    """Ends the key as another replica does, but for what is still believed here."""
    await running.database.execute("UPDATE api_keys SET revoked_at = now() WHERE name = 'leaving'")
    running.services.api_keys.forget()


def _refused(client: Client) -> None:
    status, content = client.answer
    assert (status, content["error"]["code"]) == (401, "UNAUTHENTICATED")


async def test_a_form_ends_though_no_file_has_begun(running: Running, key: str) -> None:
    client = Client(FIELD, b"x", partial(_revoke, running), b"y")
    await _upload(running, key, await running.created(), client)
    _refused(client)
    line = await running.database.fetchrow("SELECT action, result FROM audit_log WHERE action = 'putFile'")
    assert line is not None
    assert line["result"] == "UNAUTHENTICATED"


async def test_a_form_ends_between_two_files(running: Running, key: str) -> None:
    sandbox = await running.created()
    client = Client(FILE, FIELD, partial(_revoke, running))
    await _upload(running, key, sandbox, client)
    _refused(client)
    kept = await running.services.files.open(running.principal, sandbox.id, "/root/one")
    assert b"".join([chunk async for chunk in kept.content]) == b"first"


async def test_a_download_ends_while_its_sandbox_is_resumed(
    running: Running, key: str, host: tuple[Served, str]
) -> None:
    sandbox, hang = await running.created(auto_resume=True), Hang()
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    host[0].driver.faults.inject("resume.verify", hang)
    client = Client(hang.reached.wait, partial(_revoke, running))
    try:
        await _download(running, key, sandbox, client)
    finally:
        hang.released.set()
    _refused(client)


async def test_a_download_that_has_begun_is_cut_off(running: Running, key: str) -> None:
    sandbox, client = await running.created(), Client()
    await running.services.files.write(running.principal, sandbox.id, "/root/one", chunks(b"content"))

    async def never_reads(message: Message) -> None:
        if message["type"] == "http.response.body":
            await _revoke(running)
            await asyncio.Event().wait()

    client.on_send = never_reads
    # no end of the body and no other answer: the server cuts the connection
    with pytest.raises(files._Broken):
        await _download(running, key, sandbox, client)
    assert [message["type"] for message in client.sent] == ["http.response.start", "http.response.body"]


async def test_a_document_that_arrives_slowly_is_not_run(running: Running, key: str) -> None:
    client = Client(b'{"query": "mutation { createSandbox', partial(_revoke, running))
    async with asyncio.timeout(SECONDS_MAX):
        scope = _scope("POST", key, "application/json")
        await GraphQLOverHTTP(_gateway(running))(scope, client.receive, client.send)
    status, content = client.answer
    assert (status, content["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")


async def test_a_slow_reader_hears_nothing_though_there_is_always_more_to_tell(running: Running, key: str) -> None:
    sandbox = await running.created()
    told: list[dict[str, Any]] = []

    async def read_slowly(message: dict[str, Any]) -> None:
        told.append(message)
        if message["type"] != "next":
            return
        if len(told) == 1:
            await _revoke(running)
        # before it has read this, there is something new: the source never comes to its end
        for subscriber in running.services.feed._subscribers[DEFAULT_TEAM_ID]:
            subscriber.offer(replace(sandbox, version=sandbox.version + len(told)))
            subscriber.advance(Cursor(0, 0))
        await asyncio.sleep(0)

    caller = Caller(partial(running.services.auth.authenticate, key), "192.0.2.1")
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.RaisesGroup(pytest.RaisesExc(Closing, check=lambda closing: closing.code == 4403)):
            async with asyncio.TaskGroup() as group:
                operations = Operations(_gateway(running), caller, read_slowly, group)
                await operations.begin({"id": "1", "payload": {"query": LIST}})
    *heard, last = told
    assert len(heard) > 1
    assert (last["type"], last["payload"][0]["extensions"]["code"]) == ("error", "UNAUTHENTICATED")
    assert running.services.feed._subscribers == {}

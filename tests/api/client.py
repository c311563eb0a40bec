"""A client as users write them: HTTP by httpx, WebSockets by websockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

ANSWER_SECONDS_MAX = 20.0
PROTOCOL = Subprotocol("graphql-transport-ws")

SANDBOX = """
    fragment S on Sandbox {
      id name state goal cause detail version vcpus memoryMb diskSizeMb timeoutSec createdAt updatedAt
      labels { key value } template { id name isPlatform } allowedActions { action allowed reason }
      lastOperation { id kind state }
    }
    fragment P on UserError { code message path retryable }
"""
CREATE = (
    SANDBOX
    + """mutation ($input: CreateSandboxInput!) { createSandbox(input: $input) {
      sandbox { ...S } operation { id kind state sandboxId actor stages { name durationMs } error { code } }
      userErrors { ...P } } }"""
)


class Client:
    """GraphQL and files with one key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self.http = httpx.AsyncClient(
            base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=ANSWER_SECONDS_MAX, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def post(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The whole response, errors and all."""
        response = await self.http.post("/graphql", json={"query": query, "variables": variables})
        found: dict[str, Any] = response.json()
        return found

    async def ask(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of a response without errors; that of its only root field, if there is one."""
        response = await self.post(query, variables)
        assert "errors" not in response, response["errors"]
        data = response["data"]
        return next(iter(data.values())) if len(data) == 1 else data

    async def code(self, query: str, variables: dict[str, Any] | None = None) -> str:
        """The code of the only top-level error."""
        (error,) = (await self.post(query, variables))["errors"]
        assert error["extensions"]["requestId"]
        return str(error["extensions"]["code"])

    async def command(self, name: str, fields: str, /, **given: Any) -> Any:
        """A mutation `name` with its payload."""
        type_ = name[0].upper() + name[1:] + "Input"
        query = f"mutation ($input: {type_}!) {{ {name}(input: $input) {{ {fields} userErrors {{ ...P }} }} }}"
        used = SANDBOX if "...S" in fields else SANDBOX[SANDBOX.index("fragment P") :]
        return await self.ask(used + query, {"input": given})

    async def refusal(self, name: str, /, **given: Any) -> dict[str, Any]:
        """The only user error of a mutation."""
        payload = await self.command(name, "__typename", **given)
        (error,) = payload["userErrors"]
        found: dict[str, Any] = error
        return found

    async def create(self, **given: Any) -> Any:
        """A running sandbox."""
        payload = await self.ask(CREATE, {"input": given})
        assert payload["userErrors"] == []
        assert payload["sandbox"]["state"] == "RUNNING"
        return payload["sandbox"]

    @asynccontextmanager
    async def socket(self) -> AsyncIterator["Socket"]:
        """A WebSocket that is ready for operations."""
        async with raw_socket(self.url) as connection:
            socket = Socket(connection)
            await socket.send(type="connection_init", payload={"authorization": f"Bearer {self.key}"})
            assert await socket.receive() == {"type": "connection_ack"}
            yield socket


@asynccontextmanager
async def raw_socket(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A WebSocket on which nothing was said yet."""
    address = url.replace("http", "ws", 1) + "/graphql"
    arguments = {"subprotocols": [PROTOCOL], "proxy": None} | options
    async with connect(address, **arguments) as connection:
        yield connection


class Socket:
    """Messages of graphql-transport-ws."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            text = await self.connection.recv()
        # orjson makes bytes, and bytes would make binary frames, which this protocol has none of
        assert isinstance(text, str)
        found: dict[str, Any] = json.loads(text)
        return found

    async def subscribe(self, query: str, variables: dict[str, Any] | None = None, *, id_: str = "1") -> None:
        await self.send(id=id_, type="subscribe", payload={"query": query, "variables": variables})

    async def next(self, id_: str = "1") -> Any:
        """The only root field of the next response; heartbeats are passed over."""
        while True:
            message = await self.receive()
            assert message["type"] == "next", message
            assert message["id"] == id_
            assert "errors" not in message["payload"], message
            (found,) = message["payload"]["data"].values()
            if found.get("__typename") != "Heartbeat":
                return found

    async def closed(self) -> tuple[int, str]:
        """The code and reason with which the server closes the connection."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            with suppress(ConnectionClosed):
                async for _ in self.connection:
                    pass
            await self.connection.wait_closed()
        assert self.connection.close_code is not None
        return self.connection.close_code, self.connection.close_reason or ""

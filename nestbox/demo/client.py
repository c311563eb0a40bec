"""A GraphQL client as a user would write one: gql over HTTP for commands, over one WebSocket for what is live."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from gql import Client as GqlClient
from gql import GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from graphql import DocumentNode

from nestbox.demo import documents

Json = dict[str, Any]

REQUEST_TIMEOUT_SECONDS = 60
"""Longer than any `waitSeconds` that is asked for here."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class RefusedError(Exception):
    """The platform did not do what it was asked for; `code` is its own, the text its sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class Client:
    """One platform, as one API key sees it. Made by `connect`; usable until that ends."""

    def __init__(
        self,
        session: AsyncClientSession,
        live: AsyncClientSession,
        http: httpx.AsyncClient,
    ) -> None:
        self._session = session
        self._live = live
        self._http = http

    async def query(self, document: DocumentNode, **variables: Any) -> Json:
        """The `data` of a query. Raises: RefusedError for an error of the whole request."""
        try:
            return dict(await self._session.execute(GraphQLRequest(document, variable_values=variables)))
        except TransportQueryError as error:
            raise _refusal(error) from error
        except (TransportError, httpx.HTTPError) as error:
            raise RefusedError("UNREACHABLE", f"The platform does not answer: {error!r}.") from error

    async def mutate(self, document: DocumentNode, **input_fields: Any) -> Json:
        """The payload of the one mutation in `document`, called with `input`. Raises: RefusedError, also for the first
        of its `userErrors`."""
        data = await self.query(document, input=input_fields)
        payload: Json = next(iter(data.values()))
        for error in payload["userErrors"]:
            raise RefusedError(error["code"], error["message"])
        return payload

    async def subscribe(self, document: DocumentNode, **variables: Any) -> AsyncGenerator[Json]:
        """The events of the one subscription in `document`, as they arrive. Raises: RefusedError when it is ended."""
        stream = self._live.subscribe(GraphQLRequest(document, variable_values=variables))
        try:
            async for data in stream:
                yield next(iter(dict(data).values()))
        except TransportQueryError as error:
            raise _refusal(error) from error
        except TransportError as error:
            raise RefusedError("UNREACHABLE", f"The subscription ended: {error!r}.") from error
        finally:
            await stream.aclose()

    async def run(self, sandbox_id: str, *argv: str, timeout_seconds: float = 30) -> Json:
        """Runs a program in a sandbox and returns its `ExecResult`. Raises: RefusedError, also when it fails there."""
        payload = await self.mutate(
            documents.EXEC,
            sandboxId=sandbox_id,
            argv=list(argv),
            timeoutSec=timeout_seconds,
        )
        result: Json = payload["result"]
        if result["exitCode"] != 0:
            raise RefusedError(
                "EXIT_CODE",
                f"{argv[0]} exited with {result['exitCode']}: {result['stderr'].strip()}",
            )
        return result

    async def download(self, sandbox_id: str, path: str) -> bytes:
        """A file's bytes, streamed over HTTP beside GraphQL. Raises: RefusedError."""
        response = await self._http.get(f"/sandboxes/{sandbox_id}/files", params={"path": path})
        if response.status_code != httpx.codes.OK:
            raise RefusedError(
                f"HTTP_{response.status_code}",
                f"{path} cannot be downloaded: {response.text}",
            )
        return response.content


@asynccontextmanager
async def connect(url: str, key: str) -> AsyncIterator[Client]:
    """A client of the platform at `url` (its root, as in http://127.0.0.1:7300).

    Raises: RefusedError if nothing answers there, or the key is not known.
    """
    root = httpx.URL(url)
    headers = {"authorization": f"Bearer {key}"}
    # a proxy that the environment names is not the way to this computer itself
    options: Json = {"headers": headers, "timeout": REQUEST_TIMEOUT_SECONDS, "trust_env": root.host not in _LOOPBACK}
    socket_url = root.copy_with(scheme="wss" if root.scheme == "https" else "ws", path="/graphql")
    http_transport = HTTPXAsyncTransport(str(root.join("/graphql")), **options)
    live_transport = WebsocketsTransport(
        str(socket_url),
        subprotocols=["graphql-transport-ws"],
        init_payload={"authorization": headers["authorization"]},
        connect_args={} if options["trust_env"] else {"proxy": None},
    )
    async with (
        httpx.AsyncClient(base_url=root, **options) as http,
        GqlClient(transport=http_transport, execute_timeout=REQUEST_TIMEOUT_SECONDS) as session,
        AsyncExitStack() as stack,
    ):
        try:
            live = await stack.enter_async_context(GqlClient(transport=live_transport, execute_timeout=None))
        except (OSError, TransportError) as error:
            raise RefusedError("UNREACHABLE", f"No WebSocket at {socket_url}: {error.__cause__ or error}.") from error
        yield Client(session, live, http)


def _refusal(error: TransportQueryError) -> RefusedError:
    first: Any = (error.errors or [{}])[0]
    extensions = first.get("extensions") or {}
    return RefusedError(str(extensions.get("code", "UNKNOWN")), str(first.get("message", error)))

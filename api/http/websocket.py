"""GraphQL over WebSocket: the protocol graphql-transport-ws, and no other.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md. The server's own pings (see `api/__main__.py`) find
connections that died; the deadline for sending finds clients that live but no longer read.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import orjson
import structlog
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.domain.principal import Principal
from api.errors import NestboxError, Unauthenticated
from api.http.caller import session_token
from api.http.errors import error_response
from api.http.gateway import Gateway
from api.http.origin import is_allowed_origin, is_our_origin
from api.http.socket_operations import Caller, Closing, Operations
from api.services.throttle import network_of

_log = structlog.get_logger(__name__)

PROTOCOL = "graphql-transport-ws"
INIT_SECONDS_MAX = 5.0
"""From the opening of the socket to `connection_init`."""
SEND_SECONDS_MAX = 10.0
"""For a client that stopped reading; until then its buffers hold what it is sent."""
CLOSE_SECONDS_MAX = 1.0
SOCKETS_PER_TEAM_MAX = 5_000
"""On one replica, of those that it has in all. Somebody without a team counts alone."""
SOCKETS_MAX = 10_000
"""About 60 KiB each: 600 MiB."""
STRANGERS_PER_ADDRESS_MAX = 500
"""Sockets from one address of which nobody has said yet whose they are, which is said within `INIT_SECONDS_MAX`: a team
whose clients all open theirs anew is through in some seconds."""
STRANGERS_MAX = 2_000
"""The same from all addresses: a fifth more descriptors than `SOCKETS_MAX`."""


FULL = "Too many connections, try again later"
T = TypeVar("T")


class GraphQLOverWebSocket:
    """The endpoint as an ASGI application."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._places = _Places()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        socket = WebSocket(scope, receive, send)
        if not is_allowed_origin(Headers(scope=scope), self._gateway.callers.site.all_origins):
            _log.warning("websocket_refused", origin=Headers(scope=scope).get("origin"))
            await socket.close()
            return
        address = self._gateway.callers.site.address(scope)
        with ExitStack() as stranger:
            try:
                stranger.enter_context(self._places.of_stranger(address))
            except Closing as full:
                _log.info("connection_refused", status=503, code="TOO_MANY_CONNECTIONS")
                request_id = scope["state"]["request_id"]
                response = error_response(503, "TOO_MANY_CONNECTIONS", f"{full.reason}.", request_id)
                await socket.send_denial_response(response)
                return
            if PROTOCOL not in scope["subprotocols"]:
                await socket.accept()
                await socket.close(4406, "Subprotocol not acceptable")
                return
            await socket.accept(PROTOCOL)
            await _Connection(self._gateway, socket, self._places, stranger).serve()


class _Places:
    """How many sockets each team has open, and how many strangers have from each address."""

    def __init__(self) -> None:
        self._teams: Counter[UUID] = Counter()
        self._strangers: Counter[str] = Counter()

    @contextmanager
    def of_team(self, principal: Principal) -> Iterator[None]:
        """A place for a socket. Raises: Closing: the team has none left."""
        owner = principal.counted_as
        if self._teams[owner] >= SOCKETS_PER_TEAM_MAX or self._teams.total() >= SOCKETS_MAX:
            raise Closing(1013, FULL)
        with _counted(self._teams, owner):
            yield

    @contextmanager
    def of_stranger(self, address: str) -> Iterator[None]:
        """A place for a socket until its caller is known. Raises: Closing: there is none left."""
        owner = network_of(address)
        if self._strangers[owner] >= STRANGERS_PER_ADDRESS_MAX or self._strangers.total() >= STRANGERS_MAX:
            raise Closing(1013, FULL)
        with _counted(self._strangers, owner):
            yield


@contextmanager
def _counted(taken: Counter[T], owner: T) -> Iterator[None]:
    taken[owner] += 1
    try:
        yield
    finally:
        taken[owner] -= 1
        if not taken[owner]:
            del taken[owner]


class _Connection:
    """One socket and the operations on it."""

    def __init__(self, gateway: Gateway, socket: WebSocket, places: _Places, stranger: ExitStack) -> None:
        """`stranger` gives the place back that the socket has until its caller is known."""
        self._gateway = gateway
        self._socket = socket
        self._places = places
        self._stranger = stranger

    async def serve(self) -> None:
        """Speaks with the client until either side closes, then ends every operation."""
        _log.info("websocket_opened")
        closing: Closing | None = None
        try:
            found = await self._initialise()
            if found is not None:
                caller, principal = found
                with self._places.of_team(principal):
                    self._stranger.close()
                    await self._send({"type": "connection_ack"})
                    await self._serve_operations(caller)
        except Closing as error:
            closing = error
        if closing is not None:
            await self._close(closing)
        _log.info("websocket_closed", code=closing.code if closing else None)

    async def _serve_operations(self, caller: Caller) -> None:
        failures: list[Closing] = []
        try:
            async with asyncio.TaskGroup() as group:
                operations = Operations(self._gateway, caller, self._send, group)
                try:
                    await self._listen(operations)
                finally:
                    operations.end()
        except* Closing as group_of_failures:
            failures.extend(error for error in group_of_failures.exceptions if isinstance(error, Closing))
        if failures:
            # several operations can find at once that the client no longer reads: one is enough
            raise failures[0]

    async def _initialise(self) -> tuple[Caller, Principal] | None:
        """Who the client is now, and how to ask again; None if it went away first."""
        try:
            async with asyncio.timeout(INIT_SECONDS_MAX):
                message = await self._receive()
                while message is not None and message["type"] in {"ping", "pong"}:
                    await self._answer_ping(message)
                    message = await self._receive()
        except TimeoutError:
            raise Closing(4408, "Connection initialisation timeout") from None
        if message is None:
            return None
        if message["type"] != "connection_init":
            raise Closing(4401, "Unauthorized")
        caller = self._caller(message.get("payload"))
        try:
            principal = await caller.principal()
        except Unauthenticated:
            raise Closing(4403, "Forbidden") from None
        except NestboxError as error:
            _log.warning("unavailable", code=error.code, detail=error.detail)
            raise Closing(1013, "Try again later") from None
        return caller, principal

    def _caller(self, payload: Any) -> Caller:
        if payload is not None and not isinstance(payload, dict):
            raise Closing(4400, "The payload of connection_init must be an object")
        given = (payload or {}).get("authorization") or (payload or {}).get("Authorization")
        if given is not None and not isinstance(given, str):
            raise Closing(4400, "`authorization` must be a text")
        headers, callers = self._socket.headers, self._gateway.callers
        auth, address = self._gateway.services.auth, callers.site.address(self._socket.scope)
        key = given or headers.get("authorization") or ""
        token = session_token(headers)
        if key or not token:
            return Caller(partial(auth.authenticate, key), address)
        if not is_our_origin(headers, callers.site.all_origins):
            raise Closing(4403, "Forbidden")
        return Caller(partial(auth.authenticate_session, token), address)

    async def _listen(self, operations: Operations) -> None:
        while (message := await self._receive()) is not None:
            match message["type"]:
                case "ping" | "pong":
                    await self._answer_ping(message)
                case "subscribe":
                    await operations.begin(message)
                case "complete":
                    operations.complete(message)
                case "connection_init":
                    raise Closing(4429, "Too many initialisation requests")
                case _:
                    raise Closing(4400, "Unknown message type")

    async def _answer_ping(self, message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            await self._send({"type": "pong", **({"payload": message["payload"]} if "payload" in message else {})})

    async def _receive(self) -> dict[str, Any] | None:
        """The next message; None when the client is gone, or the server is shutting down."""
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            return None
        text = frame.get("text")
        if text is None:
            raise Closing(4400, "Messages must be text")
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise Closing(4400, "Messages must be JSON") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Closing(4400, "Messages must be objects with a `type`")
        return message

    async def _send(self, message: dict[str, Any]) -> None:
        """Sends a message as a text frame. Raises: Closing when the client does not read, or is gone."""
        text = orjson.dumps(message).decode()
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self._socket.send({"type": "websocket.send", "text": text})
        except TimeoutError:
            raise Closing(1008, "The client does not read") from None
        except (OSError, RuntimeError, WebSocketDisconnect):
            raise Closing(1006, "The client is gone") from None

    async def _close(self, closing: Closing) -> None:
        # after 1006 there is nobody to tell; and who does not read does not read this either
        if closing.code == 1006:
            return
        with suppress(TimeoutError, OSError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._socket.close(closing.code, closing.reason)

"""The operations of one WebSocket: each has a task, and ends with an `error` or a `complete` of its own."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import structlog

from api.domain.principal import Principal
from api.errors import Invalid, Unauthenticated
from api.http.gateway import Gateway, read_request
from api.schema.documents import DocumentErrors, is_subscription
from api.schema.execution import Request, formatted

_log = structlog.get_logger(__name__)

OPERATIONS_PER_CONNECTION_MAX = 100
"""At once. A client with more to watch opens another socket."""
OPERATION_ID_CHARACTERS_MAX = 128
Sender = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever opened the connection: asked for anew at each operation, since they may be shut out meanwhile."""

    principal: Callable[[], Awaitable[Principal]]
    address: str


class Closing(Exception):
    """The connection is to be closed, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Operations:
    """Runs operations in the task group of their connection."""

    def __init__(self, gateway: Gateway, caller: Caller, send: Sender, group: asyncio.TaskGroup) -> None:
        self._gateway = gateway
        self._caller = caller
        self._send = send
        self._group = group
        self._running: dict[str, asyncio.Task[None]] = {}

    async def begin(self, message: dict[str, Any]) -> None:
        """Starts the operation of a `subscribe` message.

        Raises:
            Closing: the message is malformed, or its id is in use.
        """
        operation_id = _operation_id(message)
        if not isinstance(message.get("payload"), dict):
            raise Closing(4400, "`payload` must be an object")
        if operation_id in self._running:
            raise Closing(4409, f"Subscriber for {operation_id[:64]} already exists")
        if len(self._running) >= OPERATIONS_PER_CONNECTION_MAX:
            error = Invalid(
                f"At most {OPERATIONS_PER_CONNECTION_MAX} operations may run on one connection.",
                code="TOO_MANY_OPERATIONS",
            )
            await self._refuse(operation_id, [error], uuid4().hex)
            return
        task = self._group.create_task(self._run(operation_id, message["payload"]))
        self._running[operation_id] = task
        task.add_done_callback(lambda done: self._forget(operation_id, done))

    def complete(self, message: dict[str, Any]) -> None:
        """Ends an operation at the client's wish; one that has ended already is no mistake of the client."""
        task = self._running.pop(_operation_id(message), None)
        if task is not None:
            task.cancel()

    def end(self) -> None:
        """Ends all operations: the connection is going."""
        for task in self._running.values():
            task.cancel()

    def _forget(self, operation_id: str, task: asyncio.Task[None]) -> None:
        # by then the client may have begun another one with the same id
        if self._running.get(operation_id) is task:
            del self._running[operation_id]

    async def _run(self, operation_id: str, payload: dict[str, Any]) -> None:
        request_id = uuid4().hex
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._answer(operation_id, payload, request_id)
            except Closing:
                raise
            except DocumentErrors as error:
                await self._refuse(operation_id, error.errors, request_id)
            except Unauthenticated as error:
                # the key or session has ended: nothing on this connection may go on
                await self._refuse(operation_id, [error], request_id)
                raise Closing(4403, "Forbidden") from None
            except Exception as error:  # noqa: BLE001  # one operation never ends the others
                await self._refuse(operation_id, [error], request_id)

    async def _answer(self, operation_id: str, payload: dict[str, Any], request_id: str) -> None:
        request = read_request(payload)
        principal = await self._caller.principal()
        async with self._gateway.services.auth.holding(principal):
            await self._answer_to(principal, request, operation_id, request_id)

    async def _answer_to(self, principal: Principal, request: Request, operation_id: str, request_id: str) -> None:
        graphql = self._gateway.graphql
        document = graphql.documents.prepare(request.query)
        operation = document.operation(request.operation_name)
        context = self._gateway.context(principal, request_id, document, self._caller.address)
        _log.info("operation", kind=operation.operation.value, name=operation.name.value[:64] if operation.name else "")
        if is_subscription(operation):
            found = await graphql.subscribe(document, request, context)
        else:
            found = await graphql.execute(document, request, context)
        if not isinstance(found, dict):
            async with aclosing(cast("AsyncGenerator[dict[str, Any], None]", found)) as responses:
                async for response in responses:
                    await self._send({"id": operation_id, "type": "next", "payload": response})
        elif "data" not in found:
            self._release(operation_id)
            await self._send({"id": operation_id, "type": "error", "payload": found["errors"]})
            return
        else:
            await self._send({"id": operation_id, "type": "next", "payload": found})
        self._release(operation_id)
        await self._send({"id": operation_id, "type": "complete"})

    async def _refuse(self, operation_id: str, errors: list[Any], request_id: str) -> None:
        self._release(operation_id)
        payload = [formatted(error, request_id) for error in errors]
        await self._send({"id": operation_id, "type": "error", "payload": payload})

    def _release(self, operation_id: str) -> None:
        """The id is free before the last message is out: the client may use it again as soon as that arrives."""
        if self._running.get(operation_id) is asyncio.current_task():
            del self._running[operation_id]


def _operation_id(message: dict[str, Any]) -> str:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= OPERATION_ID_CHARACTERS_MAX:
        raise Closing(4400, f"`id` must be a text of 1 to {OPERATION_ID_CHARACTERS_MAX} characters")
    return operation_id

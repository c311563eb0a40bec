"""Runs operations, and decides what of an error a client may read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeGuard, cast

import strawberry
import structlog
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, execute, subscribe
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from api.errors import Internal, NestboxError, Unavailable
from api.schema.context import OperationContext
from api.schema.costs import cost_of
from api.schema.documents import Document, Documents, is_mutation
from api.schema.limits import root_field_count

_log = structlog.get_logger(__name__)

QUERY_SECONDS_MAX = 30.0
"""No query takes a hundredth of it; a database that is away is said after a second."""
INTERNAL_MESSAGE = "Something went wrong on our side. If it happens again, report it with the request id."


class Executor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, without its leak.

    Versions 3.3.1 and 3.3.2 share one memo of sub-fields between all events of a subscription and key it by objects
    that are new for each event, which keeps about 1.4 KB per event for as long as the subscription lives.
    """

    def build_per_event_executor(self, payload: Any) -> Any:
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}  # noqa: SLF001  # the leak is in there, and there is no other way to it
        return executor


@dataclass(frozen=True, slots=True)
class Request:
    """One operation as it came in, its JSON already checked for types."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None


class GraphQL:
    """The schema, ready to be asked. Knows nothing of HTTP and WebSockets."""

    def __init__(self, schema: strawberry.Schema, *, query_seconds: float = QUERY_SECONDS_MAX) -> None:
        self._schema: GraphQLSchema = schema._schema  # noqa: SLF001  # Strawberry has no public name for it
        self._query_seconds = query_seconds
        self.documents = Documents(self._schema)

    async def execute(self, document: Document, request: Request, context: OperationContext) -> dict[str, Any]:
        """The response to a query or a mutation, with its cost in `extensions`.

        A query is broken off after `query_seconds`; a mutation ends by itself, and has limits of its own. Each mutation
        in a document counts as a request of its caller's team.

        Raises:
            GraphQLError: it costs too much, and was not begun. Unavailable: `TIMEOUT`.
        """
        operation = document.operation(request.operation_name)
        cost = cost_of(self._schema, document.node, operation, request.variables)
        if is_mutation(operation):
            context.services.auth.charge(context.principal, root_field_count(document.node, operation))
        try:
            async with asyncio.timeout(None if is_mutation(operation) else self._query_seconds):
                done = await self._execute(document, request, context)
        except TimeoutError:
            raise Unavailable("The query took too long; ask for less at once.", code="TIMEOUT") from None
        return response(done, context.request_id) | {"extensions": {"cost": cost}}

    async def _execute(self, document: Document, request: Request, context: OperationContext) -> ExecutionResult:
        result = execute(
            self._schema,
            document.node,
            context_value=context,
            variable_values=request.variables,
            operation_name=request.operation_name,
            executor_class=Executor,
            is_awaitable=cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable),
        )
        return await result if isawaitable(result) else result

    async def subscribe(
        self, document: Document, request: Request, context: OperationContext
    ) -> AsyncIterator[dict[str, Any]] | dict[str, Any]:
        """The responses of a subscription, or the only one if it could not begin.

        Iterating raises what the source raises: `NestboxError` or a bug; give either to `formatted`. The iterator
        must be closed. Raises: GraphQLError: it costs too much.
        """
        cost_of(self._schema, document.node, document.operation(request.operation_name), request.variables)
        source = subscribe(
            self._schema,
            document.node,
            context_value=context,
            variable_values=request.variables,
            operation_name=request.operation_name,
            executor_class=Executor,
        )
        found = await source if isawaitable(source) else source
        if isinstance(found, ExecutionResult):
            return response(found, context.request_id)
        return self._responses(found, context.request_id)

    async def _responses(
        self, source: AsyncIterator[ExecutionResult], request_id: str
    ) -> AsyncIterator[dict[str, Any]]:
        try:
            async for result in source:
                yield response(result, request_id)
        finally:
            await source.aclose()  # type: ignore[attr-defined]


def response(result: ExecutionResult, request_id: str) -> dict[str, Any]:
    """The response as it is encoded; `data` is missing when execution never began (specification, section 7.1)."""
    if not result.errors:
        return {"data": result.data}
    errors = [formatted(error, request_id) for error in result.errors]
    if result.data is None and all(error.path is None for error in result.errors):
        return {"errors": errors}
    return {"errors": errors, "data": result.data}


def formatted(error: Exception, request_id: str) -> dict[str, Any]:
    """An error as a client may see it, with `extensions.code`, `retryable` and `requestId`.

    The text of our own errors and of graphql-core's about the document goes out. Of anything else only the request id
    does; the rest goes to the log.
    """
    located = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
    shown: dict[str, Any] = {"message": located.message}
    if located.locations:
        shown["locations"] = [location.formatted for location in located.locations]
    if located.path is not None:
        shown["path"] = located.path
    original = located.original_error
    code, retryable = "BAD_USER_INPUT", False
    if isinstance(original, NestboxError) and not isinstance(original, Internal):
        code, retryable = original.code, original.retryable
    elif _is_about_the_request(located):
        code = (located.extensions or {}).get("code", code)
    else:
        code = "INTERNAL"
        shown["message"] = INTERNAL_MESSAGE
        _log.error(
            "unexpected_error",
            request_id=request_id,
            path=located.path,
            detail=getattr(original, "detail", ""),
            exc_info=original or located,
        )
    shown["extensions"] = {"code": code, "retryable": retryable, "requestId": request_id}
    return shown


def _is_about_the_request(error: GraphQLError) -> bool:
    if error.original_error is None or error.path is None:
        # without a path it was raised before any resolver ran: the document or its variables
        return error.path is None and (error.original_error is None or isinstance(error.original_error, GraphQLError))
    return isinstance(error.original_error, GraphQLError) and error.message.startswith("Argument ")

"""GraphQL over HTTP: POST with JSON, GET for queries."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from graphql import GraphQLError, OperationDefinitionNode
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.domain.principal import Principal
from api.errors import Invalid, NestboxError
from api.http.bodies import lingering, read_body
from api.http.connected import while_connected
from api.http.errors import headers_of, status_of
from api.http.gateway import Gateway, read_request
from api.http.json import JSONResponse, parse_json
from api.http.negotiation import GRAPHQL_RESPONSE, LEGACY, answer_media_type, is_json
from api.schema.context import OperationContext
from api.schema.documents import Document, DocumentErrors, is_mutation, is_subscription
from api.schema.execution import Request, formatted

_STATUSES = {
    "NOT_ACCEPTABLE": 406,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "BODY_TOO_SLOW": 408,
    "METHOD_NOT_ALLOWED": 405,
}
_ABANDONED_WITH_THEIR_CLIENT = frozenset({"exec", "readFile"})
"""Mutations that nobody misses when the client is gone: they only produce an answer."""


class GraphQLOverHTTP:
    """The endpoint as an ASGI application."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request_id: str = scope["state"]["request_id"]
        headers = Headers(scope=scope)
        media_type = LEGACY
        try:
            media_type = answer_media_type(headers.get("accept"))
            principal = await self._gateway.callers.principal(scope)
            # around the body too, which may take longer to arrive than its sender may still be here
            async with self._gateway.services.auth.holding(principal):
                content = await self._content(scope, receive, headers)
                response = await self._answer(scope, receive, principal, content, media_type)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001  # every one is answered in the shape of GraphQL
            response = _refusal(error, request_id, media_type)
            await response(scope, receive, lingering(receive, send) if scope["method"] == "POST" else send)
            return
        await response(scope, receive, send)

    async def _content(self, scope: Scope, receive: Receive, headers: Headers) -> Any:
        if scope["method"] == "GET":
            return _query_parameters(scope)
        if scope["method"] != "POST":
            raise Invalid("Use POST, or GET for queries.", code="METHOD_NOT_ALLOWED")
        if not is_json(headers.get("content-type")):
            raise Invalid(
                "The body must be JSON, with `content-type: application/json`.", code="UNSUPPORTED_MEDIA_TYPE"
            )
        return parse_json(await read_body(scope, receive))

    async def _answer(
        self, scope: Scope, receive: Receive, principal: Principal, content: Any, media_type: str
    ) -> Response:
        request_id: str = scope["state"]["request_id"]
        try:
            request = read_request(content)
            document = self._gateway.graphql.documents.prepare(request.query)
            operation = document.operation(request.operation_name)
            scope["state"]["operation"] = _name(operation)
            if is_subscription(operation):
                raise Invalid(
                    "Subscriptions need a WebSocket with the protocol graphql-transport-ws.", code="BAD_REQUEST"
                )
            if scope["method"] == "GET" and is_mutation(operation):
                raise Invalid("GET is for queries; send mutations by POST.", code="METHOD_NOT_ALLOWED")
            context = self._gateway.context(principal, request_id, document, self._gateway.callers.site.address(scope))
            answer = await self._run(receive, document, operation, request, context)
        except ClientDisconnect:
            raise
        except DocumentErrors as error:
            answer = {"errors": [formatted(one, request_id) for one in error.errors]}
        except GraphQLError as error:
            answer = {"errors": [formatted(error, request_id)]}
        except Exception as error:  # noqa: BLE001
            return _refusal(error, request_id, media_type)
        # the older media type says 200 to everything that was understood, the newer one 400 to what could not begin
        status = 400 if media_type == GRAPHQL_RESPONSE and "data" not in answer else 200
        return JSONResponse(answer, status, media_type=media_type)

    async def _run(
        self,
        receive: Receive,
        document: Document,
        operation: OperationDefinitionNode,
        request: Request,
        context: OperationContext,
    ) -> dict[str, Any]:
        work = self._gateway.graphql.execute(document, request, context)
        if is_mutation(operation) and not _ends_with_its_client(document):
            return await work
        return await while_connected(receive, work)


def _ends_with_its_client(document: Document) -> bool:
    return document.root_fields <= _ABANDONED_WITH_THEIR_CLIENT


def _query_parameters(scope: Scope) -> Mapping[str, Any]:
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=16,
        )
    except ValueError:
        raise Invalid("The address is not valid: too many parameters, or not UTF-8.", code="BAD_REQUEST") from None
    content: dict[str, Any] = dict(pairs)
    for name in ("variables", "extensions"):
        if content.get(name):
            content[name] = parse_json(content[name])
        else:
            content.pop(name, None)
    return content


def _refusal(error: Exception, request_id: str, media_type: str) -> Response:
    status = _STATUSES.get(getattr(error, "code", "")) or (status_of(error) if isinstance(error, NestboxError) else 500)
    headers = headers_of(error)
    if status == 405:
        headers["allow"] = "GET, POST"
    return JSONResponse({"errors": [formatted(error, request_id)]}, status, headers=headers, media_type=media_type)


def _name(operation: OperationDefinitionNode) -> str:
    name = operation.name.value[:64] if operation.name else ""
    return f"{operation.operation.value} {name}".rstrip()

"""What holds for every request: an id, a line in the log, headers that keep browsers from harm, no foreign text."""

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import error_response_for
from api.http.metrics import Traffic

_log = structlog.get_logger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""For everything that is not a page; pages set their own."""
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""


class RequestMiddleware:
    """Gives each request an id (the client's, if it looks like one), logs and counts how it went, and masks what nobody
    caught."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            if scope["type"] == "http":
                await self._http(scope, receive, send, request_id)
            else:
                await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
                headers.setdefault("content-security-policy", API_POLICY)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            _log.info("client_went_away", method=scope["method"], path=scope["path"])
        except Exception as error:  # the last place where its text can be kept from the client
            response = error_response_for(error, request_id)
            if status == 0:
                await response(scope, receive, send_with_headers)
            else:
                # half of an answer is out: the client has to see that it is not whole
                raise
        finally:
            level = "debug" if scope["path"] in _QUIET else "info"
            seconds = time.perf_counter() - started
            self._traffic.note(scope["path"], status, seconds)
            duration_ms = round(seconds * 1000, 2)
            getattr(_log, level)(
                "request", method=scope["method"], path=scope["path"], status=status, duration_ms=duration_ms
            )


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else uuid4().hex
    return uuid4().hex

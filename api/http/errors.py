"""Errors outside GraphQL: `{"error": {"code", "message", "requestId"}}` with a status."""

import structlog
from starlette.responses import Response

from api.errors import (
    Conflict,
    Forbidden,
    Internal,
    Invalid,
    NestboxError,
    NoCapacity,
    NotFound,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from api.http.json import JSONResponse

_log = structlog.get_logger(__name__)

INTERNAL_MESSAGE = "Something went wrong on our side. If it happens again, report it with the request id."
_STATUSES: tuple[tuple[type[NestboxError], int], ...] = (
    (Invalid, 400),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (TooMany, 429),
    (NoCapacity, 507),
    (Unavailable, 503),
)
_SPECIAL = {"TIMEOUT": 504, "FILE_TOO_LARGE": 413, "BODY_TOO_LARGE": 413, "LENGTH_MISMATCH": 400}


def status_of(error: NestboxError) -> int:
    """The status that goes with an error."""
    special = _SPECIAL.get(error.code)
    if special is not None:
        return special
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def error_response(
    status: int, code: str, message: str, request_id: str, *, headers: dict[str, str] | None = None
) -> Response:
    """An error as a response."""
    content = {"error": {"code": code, "message": message, "requestId": request_id}}
    return JSONResponse(content, status_code=status, headers=headers)


def error_response_for(error: Exception, request_id: str) -> Response:
    """The response for anything that was raised; what is not our own is logged and masked."""
    if not isinstance(error, NestboxError) or isinstance(error, Internal):
        _log.error("unexpected_error", detail=getattr(error, "detail", ""), exc_info=error)
        return error_response(500, "INTERNAL", INTERNAL_MESSAGE, request_id)
    if isinstance(error, Unavailable):
        _log.warning("unavailable", code=error.code, detail=error.detail)
    return error_response(status_of(error), error.code, error.message, request_id, headers=headers_of(error))


def headers_of(error: Exception) -> dict[str, str]:
    """The headers that go with an error."""
    if isinstance(error, Unauthenticated):
        return {"www-authenticate": "Bearer"}
    if isinstance(error, TooMany):
        return {"retry-after": str(error.retry_after_seconds)}
    return {}

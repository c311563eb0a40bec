"""How calls end: with what they return, or with the status and code of what went wrong."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
import structlog

from agent.errors import STATUS, AgentError, Code

_log = structlog.get_logger(__name__)

CODE_KEY = "nestbox-code"
"""Trailing metadata that names the reason, from `agent.errors.Code`."""

MESSAGE_CHARS_MAX = 1024
"""Of a status: it travels in a header, and headers are limited to 8 KiB."""

Context = grpc.aio.ServicerContext[Any, Any]
_Servicer = TypeVar("_Servicer")
_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")
_Call = Callable[[_Servicer, _Request, Context], Awaitable[_Answer]]


def answered(call: _Call[_Servicer, _Request, _Answer]) -> _Call[_Servicer, _Request, _Answer]:
    """A call whose errors become statuses. What was not foreseen is logged, and told without its insides."""

    @wraps(call)
    async def answer(servicer: _Servicer, request: _Request, context: Context) -> _Answer:
        try:
            return await call(servicer, request, context)
        except AgentError as error:
            # its trace holds this frame and those of the call, with all that was sent
            failure = error.with_traceback(None)
            failure.__context__ = failure.__cause__ = None
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - nothing of it may reach the caller
            _log.exception("a call failed in an unforeseen way", call=getattr(call, "__name__", ""))
            failure = AgentError(Code.INTERNAL, "The host failed in a way that was not foreseen.", detail=repr(error))
        # gRPC keeps the trace of a refusal, and so this frame, until somebody looks for cycles; by then requests of
        # megabytes would be many
        del request
        await refuse(context, failure)
        raise failure  # not reached: the line above raises

    return answer


async def refuse(context: Context, error: AgentError) -> NoReturn:
    """Ends the call with this error."""
    message = error.message[:MESSAGE_CHARS_MAX]
    await context.abort(STATUS[error.code], message, trailing_metadata=((CODE_KEY, error.code.value),))

"""Who may call: whoever has the token of this host."""

import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from agent.answers import Context, refuse
from agent.errors import AgentError, Code

TOKEN_CHARS_MIN = 16


class TokenCheck(grpc.aio.ServerInterceptor):
    """Refuses every call without `authorization: Bearer <token>`, before anything of it is read."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Lets a call through, or answers it with UNAUTHENTICATED."""
        given = [value for key, value in handler_call_details.invocation_metadata or () if key == "authorization"]
        if len(given) == 1 and hmac.compare_digest(_bytes(given[0]), self._expected):
            return await continuation(handler_call_details)
        return grpc.stream_stream_rpc_method_handler(_refuse)


def read_token(path: Path) -> str:
    """The token in a file, which is made if it is not there: 0600, 32 random bytes.

    Raises: ValueError, with a sentence, if what is there is no token.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        path.write_text(f"{secrets.token_urlsafe(32)}\n")
    token = path.read_text().strip()
    if len(token) < TOKEN_CHARS_MIN or not token.isascii() or not token.isprintable():
        raise ValueError(f"The token file {path} must hold one line of at least {TOKEN_CHARS_MIN} ASCII characters.")
    return token


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode(errors="replace")


async def _refuse(_requests: AsyncIterator[bytes], context: Context) -> None:
    await refuse(context, AgentError(Code.UNAUTHENTICATED, "The token of this host is wanted."))

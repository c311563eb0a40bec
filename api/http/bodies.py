"""Reading bodies of requests without trusting them."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from api.errors import Invalid

BODY_BYTES_MAX = 1024 * 1024
"""Of a GraphQL request."""
BODY_SECONDS_MAX = 30.0
"""For all of a GraphQL request, however slowly it is sent."""
UPLOAD_IDLE_SECONDS_MAX = 60.0
"""How long an upload is waited for without anything of a file, however much else comes."""
LINGER_SECONDS = 1.0
"""How long a refused body is still read and dropped. Closing a connection with unread data resets it, and the client
may never see why."""


async def read_body(scope: Scope, receive: Receive, *, limit_bytes: int = BODY_BYTES_MAX) -> bytes:
    """The whole body. What is beyond the limit is not read, and nothing is if the length says so at once.

    Raises:
        Invalid: `BODY_TOO_LARGE`, or `BODY_TOO_SLOW`.
        ClientDisconnect: the client went away before the end.
    """
    declared = content_length(scope)
    if declared is not None and declared > limit_bytes:
        raise _too_large(limit_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for part in stream_body(receive):
                size_bytes += len(part)
                if size_bytes > limit_bytes:
                    raise _too_large(limit_bytes)
                parts.append(part)
    except TimeoutError:
        raise Invalid("The body took too long to arrive.", code="BODY_TOO_SLOW") from None
    return b"".join(parts)


async def stream_body(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it arrives; the server reads on only as fast as this is read.

    Raises:
        ClientDisconnect: the client went away before the end.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        body: bytes = message.get("body", b"")
        if body:
            yield body


class PatientBody:
    """The body of an upload, which may take as long as it likes while its files go on: between two pieces of a file it
    is waited for `UPLOAD_IDLE_SECONDS_MAX` in all. Time in which nobody reads it does not count."""

    def __init__(self, receive: Receive) -> None:
        self._chunks = cast("AsyncGenerator[bytes, None]", stream_body(receive))
        self._left_seconds = UPLOAD_IDLE_SECONDS_MAX

    async def next(self) -> bytes | None:
        """The next chunk, None at the end.

        Raises:
            Invalid: `BODY_TOO_SLOW`. ClientDisconnect: the client went away before the end.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left_seconds):
                chunk = await anext(self._chunks, None)
        except TimeoutError:
            raise Invalid("The body stopped arriving.", code="BODY_TOO_SLOW") from None
        self._left_seconds -= time.monotonic() - began
        return chunk

    def went_on(self) -> None:
        """Some of a file came: the patience is whole again."""
        self._left_seconds = UPLOAD_IDLE_SECONDS_MAX

    async def as_file(self) -> AsyncIterator[bytes]:
        """All of it, for a body that is one file. Raises: as `next`."""
        while (chunk := await self.next()) is not None:
            self.went_on()
            yield chunk


def content_length(scope: Scope) -> int | None:
    """The length that the client declared, if it did."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None


def lingering(receive: Receive, send: Send) -> Send:
    """A `send` for the answer to a body that was not read to its end: the answer goes out at once, then what still
    arrives is dropped for a moment, then the connection is closed."""

    async def send_and_linger(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"connection", b"close")]
            await send({**message, "headers": headers})
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            await send({**message, "more_body": True})
            await _drop(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send(message)

    return send_and_linger


async def _drop(receive: Receive) -> None:
    end = time.monotonic() + LINGER_SECONDS
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            async for _ in stream_body(receive):
                # a fast sender would keep this loop from ever waiting, and the timeout from being noticed
                if time.monotonic() > end:
                    return
    except (TimeoutError, ClientDisconnect):
        return


def _too_large(limit_bytes: int) -> Invalid:
    return Invalid(
        f"The body is larger than {limit_bytes:,} bytes. Large files go to /sandboxes/{{id}}/files.",
        code="BODY_TOO_LARGE",
    )

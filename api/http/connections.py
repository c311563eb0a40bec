"""Connections before and between requests: what is sent there is nobody's yet, so it is limited in size and in time.

The server underneath limits neither: a head that never ends would be kept until memory is full, and a connection that
says nothing would stay for ever.
"""

import asyncio
from typing import Any
from uuid import uuid4

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http.bodies import LINGER_SECONDS
from api.http.errors import error_response

_log = structlog.get_logger(__name__)

HEAD_BYTES_MAX = 64 * 1024
"""Of the first line and the headers of a request: room for a query in the address."""
HEADERS_MAX = 128
"""As many as the library for WebSockets takes."""
HEAD_SECONDS_MAX = 10.0
"""From the opening of a connection, or the first byte after a request, to the end of the next head."""


class _TooLarge(Exception):
    """Ends the parser, which knows no other way to stop."""


class Connection(HttpToolsProtocol):
    """One connection over HTTP. A bad head is answered in our shape, and then the connection is closed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unclaimed_bytes = 0
        """What has arrived since a head was complete, or since some of a body came: a head, trailers, nonsense. What
        came in one piece with the end of a request is not in it."""
        self._line_bytes = 0
        """Of the current head: its address and headers so far."""
        self._in_head = self._in_body = False
        self._is_too_large = False
        self._is_refused = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops it."""
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on, unless the connection is being closed."""
        if self._is_refused:
            return
        self._unclaimed_bytes += len(data)
        super().data_received(data)
        if self._is_refused or self.transport.is_closing():
            return
        if self._unclaimed_bytes > HEAD_BYTES_MAX:
            self._is_too_large = True
            self.send_400_response("")
        elif (self._unclaimed_bytes or self._in_head) and not self._in_body and self._deadline is None:
            self._set_deadline()

    def handle_websocket_upgrade(self) -> None:
        """The library for WebSockets has limits and a clock of its own."""
        self._unset_deadline()
        self._unclaimed_bytes = 0
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._line_bytes = 0
        self._in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a body."""
        self._count(len(name) + len(value))
        if len(self.headers) >= HEADERS_MAX:
            self._is_too_large = True
            raise _TooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head has ended, and from here on the request has limits of its own."""
        self._unset_deadline()
        self._unclaimed_bytes = 0
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body: whoever reads it has limits for it."""
        self._unclaimed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has ended."""
        self._unclaimed_bytes = 0
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours are sentences
        """Refuses what the parser could not read, or was not to read on."""
        if self._is_too_large:
            self._refuse(431, "HEAD_TOO_LARGE", "What stands around the body is too large: the address or the headers.")
        else:
            self._refuse(400, "BAD_REQUEST", "This is not a request of HTTP/1.1.")

    def _count(self, size_bytes: int) -> None:
        self._line_bytes += size_bytes
        if self._line_bytes > HEAD_BYTES_MAX:
            self._is_too_large = True
            raise _TooLarge

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS_MAX, self._head_is_late)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_is_late(self) -> None:
        self._deadline = None
        if self._is_answering():
            # the client sent a part of the next request already; the answer to this one comes first
            self._set_deadline()
        elif self._unclaimed_bytes or self._in_head:
            self._refuse(408, "HEAD_TOO_SLOW", "The head of the request took too long to arrive.")
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answers, drops for a moment what still arrives (`LINGER_SECONDS` says why), and closes."""
        self._is_refused = True
        self._unset_deadline()
        _log.info("connection_refused", status=status, code=code)
        if self._is_answering():
            if self.cycle.response_started or self.pipeline:
                # half of another answer may be out, and this one would look like its end
                self.transport.close()
                return
            # whoever waits for the rest of the body learns that the client is gone, and answers nothing
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        request_id = uuid4().hex
        headers = {"connection": "close", "x-request-id": request_id, "x-content-type-options": "nosniff"}
        response = error_response(status, code, message, request_id, headers=headers)
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + bytes(response.body))
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

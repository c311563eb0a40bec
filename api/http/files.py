"""Files of sandboxes over HTTP, streamed both ways: a few chunks of a file are held, never a file."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast
from urllib.parse import parse_qs, quote
from uuid import UUID

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from api.domain.file import MODE_DEFAULT
from api.domain.principal import Principal
from api.errors import Invalid, Unauthenticated
from api.http.bodies import PatientBody, lingering
from api.http.caller import Callers
from api.http.connected import while_connected
from api.http.errors import error_response, error_response_for
from api.http.json import JSONResponse
from api.http.multipart import FormFiles
from api.ids import Kind, parse_id, wire_id
from api.services.audit import Deed
from api.services.files import FileDownload
from api.services.services import Services

METHODS = "GET, PUT, POST"
_WRITES = frozenset({"PUT", "POST"})


class FileEndpoint:
    """`/sandboxes/{id}/files?path=…`: GET reads a file, PUT writes one, POST writes the files of a form."""

    def __init__(self, services: Services, callers: Callers) -> None:
        self._services = services
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request_id: str = scope["state"]["request_id"]
        method = scope["method"]
        try:
            principal = await self._callers.principal(scope)
            sandbox_id = parse_id(Kind.SANDBOX, scope["path_params"]["id"], path=("id",))
            query = _query(scope)
            if method == "GET":
                await self._download(receive, send, (principal, sandbox_id, _one(query, "path")))
            elif method in _WRITES:
                target = (principal, sandbox_id, _one(query, "path"))
                deed = self._deed(scope, principal, sandbox_id)
                async with self._services.audit.doing(deed), self._services.auth.holding(principal):
                    if method == "PUT":
                        written = await self._upload(receive, target, _mode(query))
                    else:
                        written = await self._upload_form(scope, receive, target)
                await written(scope, receive, send)
            else:
                response = error_response(
                    405, "METHOD_NOT_ALLOWED", f"Use {METHODS}.", request_id, headers={"allow": METHODS}
                )
                await response(scope, receive, send)
        except (ClientDisconnect, _Broken):
            raise
        except Exception as error:  # noqa: BLE001  # every one is answered in our shape
            response = error_response_for(error, request_id)
            await response(scope, receive, send if method == "GET" else lingering(receive, send))

    def _deed(self, scope: Scope, principal: Principal, sandbox_id: UUID) -> Deed:
        address, target = self._callers.site.address(scope), wire_id(Kind.SANDBOX, sandbox_id)
        return Deed.of(principal, "putFile", request_id=scope["state"]["request_id"], address=address, target=target)

    async def _download(self, receive: Receive, send: Send, target: tuple[Principal, UUID, str]) -> None:
        is_open = False

        async def give() -> None:
            nonlocal is_open
            download = await self._services.files.open(*target)
            is_open = True
            await _send_file(send, download, target[2])

        try:
            async with self._services.auth.holding(target[0]):
                await while_connected(receive, give())
        except Unauthenticated as error:
            if is_open:
                raise _Broken from error
            raise

    async def _upload(self, receive: Receive, target: tuple[Principal, UUID, str], mode: int) -> JSONResponse:
        size_bytes = await self._services.files.write(*target, PatientBody(receive).as_file(), mode=mode)
        return JSONResponse({"path": target[2], "sizeBytes": size_bytes})

    async def _upload_form(self, scope: Scope, receive: Receive, target: tuple[Principal, UUID, str]) -> JSONResponse:
        principal, sandbox_id, directory = target
        form = FormFiles(Headers(scope=scope).get("content-type"), PatientBody(receive))
        written = []
        async for file in form:
            path = f"{directory.rstrip('/')}/{file.filename}"
            size_bytes = await self._services.files.write(principal, sandbox_id, path, file.content)
            written.append({"path": path, "sizeBytes": size_bytes})
        if not written:
            raise Invalid("The form holds no file; give each part a `filename`.", code="MALFORMED_FORM")
        return JSONResponse({"files": written})


class _Broken(Exception):
    """A download ended early, when half of it was sent: the connection has to be cut, so that the client sees it."""


async def _send_file(send: Send, download: FileDownload, path: str) -> None:
    size_bytes = download.info.size_bytes
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", f"attachment; filename*=UTF-8''{quote(path.rpartition('/')[2])}".encode()),
        (b"content-security-policy", b"sandbox; default-src 'none'; frame-ancestors 'none'"),
        (b"cache-control", b"no-store"),
        (b"x-file-mode", f"{download.info.mode:04o}".encode()),
    ]
    # files under /proc have no size, but content all the same: they are sent in chunks until they end
    if size_bytes:
        headers.append((b"content-length", str(size_bytes).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    left = size_bytes
    async with aclosing(cast("AsyncGenerator[bytes, None]", download.content)) as chunks:
        try:
            async for chunk in chunks:
                # a file that grows while it is read ends where it ended when the reading began
                part = chunk[:left] if size_bytes else chunk
                left -= len(part)
                await send({"type": "http.response.body", "body": part, "more_body": True})
        except Exception as error:
            raise _Broken from error
    if left > 0:
        raise _Broken
    await send({"type": "http.response.body", "body": b""})


def _query(scope: Scope) -> dict[str, list[str]]:
    try:
        return parse_qs(
            scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16
        )
    except ValueError:
        raise Invalid("The address is not valid: too many parameters, or not UTF-8.", code="BAD_REQUEST") from None


def _one(query: dict[str, list[str]], name: str) -> str:
    values = query.get(name, [])
    if len(values) != 1:
        raise Invalid(f"Give `{name}` once, in the query of the address.", path=(name,))
    return values[0]


def _mode(query: dict[str, list[str]]) -> int:
    text = query.get("mode", [f"{MODE_DEFAULT:o}"])[-1]
    try:
        return int(text, 8)
    except ValueError:
        raise Invalid("`mode` must be permission bits in octal, such as 0644.", path=("mode",)) from None

"""Small files inside GraphQL documents; large ones travel through `/sandboxes/{id}/files`."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, cast

import strawberry

from api.domain import file as domain
from api.errors import Invalid, NestboxError
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.exec import decode_base64, encode_text
from api.schema.fields import command
from api.services.files import FileDownload

INLINE_FILE_BYTES_MAX = 512 * 1024
"""In base64 700 KB, which leaves room in a request of 1 MiB."""


@strawberry.input(description="A file to write.")
class WriteFileInput:
    sandbox_id: strawberry.ID = strawberry.field(description="Where to write it: `sb-…`.")
    path: str = strawberry.field(description="Its absolute path; directories on the way are made.")
    text: str | None = strawberry.field(
        default=None, description="Its content as text; exactly one of `text` and `contentBase64`."
    )
    content_base64: str | None = strawberry.field(default=None, description="Its content as bytes, in base64.")
    mode: int | None = strawberry.field(
        default=None, description="Its permission bits as a decimal number, 420 being 0644, the default."
    )


@strawberry.input(description="A file to read.")
class ReadFileInput:
    sandbox_id: strawberry.ID = strawberry.field(description="Where to read it: `sb-…`.")
    path: str = strawberry.field(description="Its absolute path.")


@strawberry.type(description="A regular file in a sandbox.")
class FileInfo:
    path: str = strawberry.field(description="Its path, as it was given.")
    size_bytes: int = strawberry.field(description="Its size in bytes.")
    mode: int = strawberry.field(description="Its permission bits as a decimal number: 420 is 0644.")
    modified_at: datetime | None = strawberry.field(description="When it was last written, by the guest's clock.")


@strawberry.type(description="What became of `writeFile`.")
class WriteFilePayload:
    file: FileInfo | None = strawberry.field(default=None, description="The file as written; null when it was not.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What became of `readFile`.")
class ReadFilePayload:
    file: FileInfo | None = strawberry.field(default=None, description="The file; null when it could not be read.")
    text: str | None = strawberry.field(default=None, description="Its content as text; null when it is not UTF-8.")
    content_base64: str | None = strawberry.field(default=None, description="Its content, exactly, in base64.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class FileCommands:
    @command(
        "Writes a file of at most 512 KiB, in place of what had its name. It appears only when it is "
        "complete. Larger ones: `PUT /sandboxes/{id}/files?path=…`."
    )
    async def write_file(
        self,
        info: OperationInfo,
        what: Annotated[WriteFileInput, strawberry.argument(name="input", description="Which file, and its content.")],
    ) -> WriteFilePayload:
        context = info.context
        mode = domain.MODE_DEFAULT if what.mode is None else what.mode
        try:
            sandbox_id = parse_id(Kind.SANDBOX, what.sandbox_id, path=("sandboxId",))
            content = _content(what)
            size_bytes = await context.services.files.write(
                context.principal, sandbox_id, what.path, _once(content), mode=mode
            )
        except NestboxError as error:
            return WriteFilePayload(user_errors=[user_error(error)])
        return WriteFilePayload(file=FileInfo(path=what.path, size_bytes=size_bytes, mode=mode, modified_at=None))

    @command(
        "Reads a file of at most 512 KiB. Larger ones: `GET /sandboxes/{id}/files?path=…`. A mutation, "
        "since it counts as use of the sandbox."
    )
    async def read_file(
        self,
        info: OperationInfo,
        what: Annotated[ReadFileInput, strawberry.argument(name="input", description="Which file.")],
    ) -> ReadFilePayload:
        context = info.context
        try:
            sandbox_id = parse_id(Kind.SANDBOX, what.sandbox_id, path=("sandboxId",))
            download = await context.services.files.open(
                context.principal, sandbox_id, what.path, limit_bytes=INLINE_FILE_BYTES_MAX + 1
            )
            content = await _small_content(download)
        except NestboxError as error:
            return ReadFilePayload(user_errors=[user_error(error)])
        return ReadFilePayload(
            file=FileInfo(
                path=what.path,
                size_bytes=len(content),
                mode=download.info.mode,
                modified_at=download.info.modified_at,
            ),
            text=_text(content),
            content_base64=base64.b64encode(content).decode() if "contentBase64" in context.selected else "",
        )


def _content(what: WriteFileInput) -> bytes:
    if what.text is not None and what.content_base64 is None:
        content = encode_text(what.text, "text")
    elif what.content_base64 is not None and what.text is None:
        content = decode_base64(what.content_base64, "contentBase64")
    else:
        raise Invalid("Give the content either as `text` or as `contentBase64`.", path=("text",))
    if len(content) > INLINE_FILE_BYTES_MAX:
        raise _too_large()
    return content


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _small_content(download: FileDownload) -> bytes:
    # the size is not enough: files under /proc have 0 and content all the same
    content = bytearray()
    async with aclosing(cast("AsyncGenerator[bytes, None]", download.content)) as chunks:
        if download.info.size_bytes > INLINE_FILE_BYTES_MAX:
            raise _too_large()
        async for chunk in chunks:
            content += chunk
            if len(content) > INLINE_FILE_BYTES_MAX:
                raise _too_large()
    return bytes(content)


def _too_large() -> Invalid:
    return Invalid(
        "The file is larger than 512 KiB; use the file endpoint /sandboxes/{id}/files.",
        code="FILE_TOO_LARGE",
        path=("path",),
    )


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None

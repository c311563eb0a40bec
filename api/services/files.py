"""Files of sandboxes."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from api.domain.file import MODE_DEFAULT, FileInfo, check_mode, check_path
from api.domain.principal import Principal, Scope, require
from api.domain.sandbox import Action
from api.hosts.client import HostClient
from api.hosts.errors import HostCallError
from api.services.use import Use

REPEATED_BYTES_MAX = 1024 * 1024
"""Kept of an upload while it is under way, in which a host refuses it if at all: 100 MiB for 100 uploads at once."""


@dataclass(frozen=True, slots=True)
class FileDownload:
    """A file being read. `content` must be read to its end or closed (`aclose`)."""

    info: FileInfo
    content: AsyncIterator[bytes]


class Files:
    """Files are streamed: no more than a few chunks of one are ever held."""

    def __init__(self, use: Use) -> None:
        self._use = use

    async def write(
        self,
        principal: Principal,
        sandbox_id: UUID,
        path: str,
        content: AsyncIterator[bytes],
        *,
        mode: int = MODE_DEFAULT,
    ) -> int:
        """Writes a file and returns its size in bytes. It appears only when complete: if `content` raises or the call
        is cancelled, nothing of it is left.

        Raises:
            Invalid: path or mode. NotFound: no such sandbox. Conflict: it does not run. NoCapacity: its disk is full.
            Forbidden: the guest does not permit it. Unavailable: its host does not answer.
        """
        require(principal, Scope.WRITE)
        check_path(path)
        check_mode(mode)
        upload = _Upload(content)

        async def send(client: HostClient) -> int:
            async with aclosing(upload.chunks()) as chunks:
                return await client.write_file(sandbox_id, path, mode, chunks)

        return await self._use.call(
            principal, sandbox_id, Action.WRITE_FILE, send, repeatable=lambda: upload.is_repeatable
        )

    async def open(self, principal: Principal, sandbox_id: UUID, path: str, *, limit_bytes: int = 0) -> FileDownload:
        """Opens a regular file; `limit_bytes` 0 is all of it.

        Raises:
            Invalid: the path, or it is no regular file. NotFound: no such sandbox or file (`NO_SUCH_FILE`).
            Conflict, Forbidden, Unavailable: as `write`.
        """
        require(principal, Scope.READ)
        check_path(path)

        async def begin(client: HostClient) -> FileDownload:
            info, content = await client.read_file(sandbox_id, path, limit_bytes)
            return FileDownload(info, _translated(content))

        return await self._use.call(principal, sandbox_id, Action.READ_FILE, begin)


class _Upload:
    """The content of a file as it comes from a client, once; its beginning is kept, so that it can be sent again."""

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        self._content = content
        self._sent: list[bytes] = []
        self._sent_bytes = 0

    @property
    def is_repeatable(self) -> bool:
        """Whether all that was taken so far is still here."""
        return self._sent_bytes <= REPEATED_BYTES_MAX

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """All of it, from its beginning, as long as it is repeatable."""
        for chunk in tuple(self._sent):
            yield chunk
        async for chunk in self._content:
            self._sent_bytes += len(chunk)
            if self.is_repeatable:
                self._sent.append(chunk)
            else:
                self._sent.clear()
            yield chunk


async def _translated(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in content:
            yield chunk
    except HostCallError as error:
        raise error.error from error

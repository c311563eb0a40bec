"""Files of sandboxes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from api.domain.file import MODE_DEFAULT, FileInfo, check_mode, check_path
from api.domain.principal import Principal, Scope, require
from api.domain.sandbox import Action
from api.hosts.errors import HostCallError
from api.services.use import Use


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
        client = await self._use.place(principal, sandbox_id, Action.WRITE_FILE)
        try:
            return await client.write_file(sandbox_id, path, mode, content)
        except HostCallError as error:
            raise error.error from error

    async def open(self, principal: Principal, sandbox_id: UUID, path: str, *, limit_bytes: int = 0) -> FileDownload:
        """Opens a regular file; `limit_bytes` 0 is all of it.

        Raises:
            Invalid: the path, or it is no regular file. NotFound: no such sandbox or file (`NO_SUCH_FILE`).
            Conflict, Forbidden, Unavailable: as `write`.
        """
        require(principal, Scope.READ)
        check_path(path)
        client = await self._use.place(principal, sandbox_id, Action.READ_FILE)
        try:
            info, content = await client.read_file(sandbox_id, path, limit_bytes)
        except HostCallError as error:
            raise error.error from error
        return FileDownload(info, _translated(content))


async def _translated(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in content:
            yield chunk
    except HostCallError as error:
        raise error.error from error

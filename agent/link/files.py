"""Files in a guest."""

import contextlib
from collections.abc import AsyncIterator

from agent.drivers.driver import FileInfo, FileReader
from agent.errors import AgentError, Code
from agent.guest import wire
from agent.link import requests
from agent.link.channel import STALL_SECONDS, Channel
from agent.link.stream import Stream, excerpt

_WRITE_ANSWERS = frozenset({wire.DONE})
_READ_ANSWERS = frozenset({wire.INFO, wire.CONTENT, wire.END_OF_FILE})
_NUMBER_MAX = (1 << 63) - 1


async def write_file(channel: Channel, path: str, mode: int, content: AsyncIterator[bytes]) -> int:
    """See `LiveMachine.write_file`."""
    body = requests.write(path, mode)
    await channel.ready()
    stream = Stream(channel, wire.WRITE, body, answers=_WRITE_ANSWERS, window=wire.FILE_WINDOW)
    try:
        sent = 0
        async for piece in content:
            await stream.send(piece, STALL_SECONDS)
            sent += len(piece)
            if stream.ended:
                break  # it has refused; why is in its last frame
        stream.end()
        _, payload = await stream.next(STALL_SECONDS)
    finally:
        stream.close()
    if payload != wire.COUNT.pack(sent):
        raise AgentError(Code.INTERNAL, "The guest's agent wrote another size than was sent.", detail=excerpt(payload))
    return sent


async def read_file(channel: Channel, path: str, offset_bytes: int, limit_bytes: int) -> FileReader:
    """See `LiveMachine.read_file`."""
    body = requests.read(path, offset_bytes, limit_bytes)
    await channel.ready()
    stream = Stream(channel, wire.READ, body, answers=_READ_ANSWERS)
    try:
        _, payload = await stream.next(STALL_SECONDS)
        size, mode, modified_ns = wire.FILE_INFO.unpack(payload)
        if size > _NUMBER_MAX or mode > 0o7777 or modified_ns > _NUMBER_MAX:
            raise AgentError(Code.INTERNAL, "The guest's agent gave an impossible answer.", detail=excerpt(payload))
    except BaseException:
        stream.close()
        raise
    return FileReader(FileInfo(size, mode, modified_ns), FileContent(stream, limit_bytes))


class FileContent:
    """The content, fetched as it is read. Letting go of it lets go of the file."""

    def __init__(self, stream: Stream, limit_bytes: int) -> None:
        self._stream = stream
        self._left = limit_bytes or None
        self._over = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        try:
            kind, payload = await self._stream.next(STALL_SECONDS)
            if self._left is not None:
                self._left -= len(payload)
                if self._left < 0:
                    raise AgentError(Code.INTERNAL, "The guest's agent gave more of a file than was asked for.")
        except BaseException:
            await self.aclose()
            raise
        if kind == wire.END_OF_FILE:
            self._over = True
            raise StopAsyncIteration
        return payload

    async def aclose(self) -> None:
        """Stops reading. May be repeated."""
        self._over = True
        self._stream.close()

    def __del__(self) -> None:
        # a reader that is dropped in the middle must not keep a file open in the guest
        with contextlib.suppress(Exception):
            self._stream.close()

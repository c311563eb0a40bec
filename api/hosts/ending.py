"""How a call ended that this side was still sending on."""

import asyncio
from typing import Any

import grpc

STATUS_SECONDS = 2.0
"""For the host's own status to come in after a write has failed; it is a millisecond behind, as a rule."""
LOOK_SECONDS = 0.001


class Ending:
    """The status with which a host ends a call.

    grpc.aio puts an INTERNAL of its own in the place of the host's status when a write fails because the call is over,
    be it before the host's status is read or after (grpc/grpc issue 36066). Make one of these before the first write.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._first: grpc.aio.AioRpcError | None = None
        # called once, when the call first has a status
        call.add_done_callback(self._note)

    async def error(self, seen: BaseException) -> grpc.aio.AioRpcError:
        """Why the host ended the call, after a read or write of it has failed with `seen`.

        That is `seen` itself if it came from the host, or if nothing came from there within `STATUS_SECONDS`.
        """
        if isinstance(seen, grpc.aio.AioRpcError) and not _is_made_here(seen):
            return seen
        if self._first is not None and not _is_made_here(self._first):
            return self._first
        loop = asyncio.get_running_loop()
        until = loop.time() + STATUS_SECONDS
        # nothing tells when one status takes the place of another
        while _is_made_here(error := await _status(self._call)) and loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        return error

    def _note(self, call: Any) -> None:
        # a call that has a status answers without waiting
        try:
            _status(call).send(None)
        except StopIteration as answer:
            self._first = answer.value


async def _status(call: Any) -> grpc.aio.AioRpcError:
    trailing = await call.trailing_metadata()
    return grpc.aio.AioRpcError(
        await call.code(), grpc.aio.Metadata(), trailing or grpc.aio.Metadata(), details=await call.details()
    )


def _is_made_here(error: grpc.aio.AioRpcError) -> bool:
    # hosts send their code along with whatever they end a call with
    return error.code() is grpc.StatusCode.INTERNAL and not error.trailing_metadata()

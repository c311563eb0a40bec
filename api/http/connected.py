"""Work that is only worth doing while somebody waits for it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

ResultT = TypeVar("ResultT")


async def while_connected(receive: Receive, work: Awaitable[ResultT]) -> ResultT:
    """What the work answers; it is cancelled when the client goes away. The body must have been read to its end.

    Raises:
        ClientDisconnect: the client went away, and the work was cancelled.
    """
    results: list[ResultT] = []
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(_until_gone(receive))
            try:
                results.append(await work)
            except Exception as error:  # noqa: BLE001  # carried out of the group, which would wrap it
                failure = error
            watcher.cancel()
    except* ClientDisconnect as gone:
        failure = gone.exceptions[0] if isinstance(gone.exceptions[0], Exception) else ClientDisconnect()
    if failure is not None:
        raise failure
    return results[0]


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect

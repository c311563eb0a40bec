"""What all live views have in common."""

import asyncio

HEARTBEAT_SECONDS = 15.0
"""After so long without anything to tell, a stream says that it is still there."""


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Waits for an event, so long at most; whether it happened."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True

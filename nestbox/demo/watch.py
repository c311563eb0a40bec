"""Follows sandboxes by subscription and remembers what was seen, and when."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from nestbox.demo.client import Json

REMOVED = "(removed)"
"""Stands for the state of a sandbox that left the list."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One message; `at_seconds` is on the clock of `time.perf_counter`."""

    sandbox_id: str
    state: str
    at_seconds: float


class Watch:
    """What a subscription has told so far. `follow` feeds it; any number of others may wait for what it sees."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.is_live = False
        self._changed = asyncio.Event()

    async def follow(self, events: AsyncIterator[Json]) -> None:
        """Reads the subscription until it ends or is cancelled."""
        async for event in events:
            now = time.perf_counter()
            match event["__typename"]:
                case "SandboxChanged":
                    self.seen.append(Seen(event["sandbox"]["id"], event["sandbox"]["state"], now))
                case "SandboxRemoved":
                    self.seen.append(Seen(event["id"], REMOVED, now))
                case "SandboxesReset":
                    self.seen.extend(Seen(sandbox["id"], sandbox["state"], now) for sandbox in event["sandboxes"])
            self.is_live = True
            self._wake()

    async def live(self, *, deadline_seconds: float) -> None:
        """Returns when the first message is there. Raises: TimeoutError."""
        async with asyncio.timeout(deadline_seconds):
            while not self.is_live:
                await self._changed.wait()

    async def until(self, state: str, *, since: int = 0, deadline_seconds: float) -> Seen:
        """The first message with this state among those from number `since` on. Raises: TimeoutError."""
        async with asyncio.timeout(deadline_seconds):
            while True:
                for seen in self.seen[since:]:
                    if seen.state == state:
                        return seen
                await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

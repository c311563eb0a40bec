"""What the files of sandboxes take on this host's disk: some of them are looked at in each round, in turn."""

from uuid import UUID

from agent.errors import AgentError
from agent.machine import State
from agent.parts import Parts

LOOKS_PER_ROUND = 20
"""Each is a handful of `stat` calls: a millisecond. A thousand sandboxes are looked at every four minutes."""


class Stored:
    """Made by the host."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._waiting: list[UUID] = []

    async def look(self) -> None:
        """One round."""
        if not self._waiting:
            machines = self._parts.inventory.snapshot().machines
            self._waiting = [machine.sandbox_id for machine in machines if machine.state is not State.DELETED]
        for sandbox_id in self._waiting[:LOOKS_PER_ROUND]:
            try:
                stored_bytes = await self._parts.driver.stored_bytes(sandbox_id)
            except (AgentError, OSError):
                continue  # it is being removed
            self._parts.inventory.note_stored(sandbox_id, stored_bytes)
        del self._waiting[:LOOKS_PER_ROUND]

"""User ids of running machines: each has its own while it runs."""

import zlib
from pathlib import Path

from agent.errors import AgentError, Code


class UserIds:
    """Hands out ids of a range. Those that processes had when it was made are taken, whatever the processes are: so
    nothing needs to be recorded, and a machine that is yet to be adopted keeps its id for itself."""

    def __init__(self, first: int, count: int, owner: str) -> None:
        """`owner` tells apart the agents of one host (tests beside a platform): each begins elsewhere in the range."""
        start = zlib.crc32(owner.encode()) % count
        self._range = [first + (start + slot) % count for slot in range(count)]
        self._taken = _live_ids().intersection(self._range)

    def take(self) -> int:
        """An id that nobody has. Raises: AgentError NO_CAPACITY."""
        for uid in self._range:
            if uid not in self._taken:
                self._taken.add(uid)
                return uid
        raise AgentError(Code.NO_CAPACITY, "This host runs as many machines as it has user ids for.")

    def give_back(self, uid: int) -> None:
        """For an id whose processes have ended. May be repeated."""
        self._taken.discard(uid)


def _live_ids() -> set[int]:
    """The owners of all processes; a process that ends meanwhile is left out."""
    owners: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                owners.add(entry.stat().st_uid)
            except (FileNotFoundError, ProcessLookupError):
                continue
    return owners

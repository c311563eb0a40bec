"""Files that belong to nothing: put aside first, removed a day later.

What the ledger does not know is not at once nobody's: `quarantine/` keeps it, under a name of its own with a note
beside it, for `GARBAGE_KEPT`. An operator can take it out of there. After the ledger was damaged or missing nothing is
put aside at all, until the operator says so: what it knew may be somebody's.
"""

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import structlog

from agent.drivers.driver import Leftover
from agent.machine import State
from agent.parts import Parts

GARBAGE_KEPT = timedelta(days=1)
QUARANTINE = "quarantine"
NOTE = ".json"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GarbageItem:
    """`path` below the data directory; times are None for what is still where it was found."""

    path: str
    stored_bytes: int
    reason: str
    quarantined_at: datetime | None = None
    removed_after: datetime | None = None


class Garbage:
    """Made by the host."""

    def __init__(self, data_dir: Path, parts: Parts) -> None:
        self._data_dir = data_dir
        self._parts = parts
        self._seen: frozenset[str] = frozenset()
        self._turn = asyncio.Lock()

    def shortcomings(self) -> list[str]:
        """What an operator should know."""
        if not self._has_lost_its_ledger():
            return []
        sentence = (
            "The ledger was damaged or missing (ledger.db.damaged-… or ledger.db.missing-… in the agent's data "
            "directory): sandboxes on this host's disk that the ledger does not know are left alone. Delete them by "
            "their ids, or remove that file when nobody misses anything."
        )
        return [sentence]

    async def collect(self, *, dry_run: bool, wait_for_second_look: bool = False) -> tuple[GarbageItem, ...]:
        """One round: what is found is put aside, what has been there for long enough is removed. Answers with all that
        is garbage afterwards. `dry_run` only tells. `wait_for_second_look` leaves alone what was not found in the
        round before.

        Raises: OSError.
        """
        async with self._turn:
            found = await self._leftovers()
            aside = await asyncio.to_thread(lambda: tuple(self._quarantined()))
            if dry_run:
                return (*(GarbageItem(one.path, one.stored_bytes, one.reason) for one in found), *aside)
            now = self._parts.now()
            paths = frozenset(one.path for one in found)
            moved = [one for one in found if not wait_for_second_look or one.path in self._seen]
            self._seen = paths
            if not self._has_lost_its_ledger():
                for one in moved:
                    await asyncio.to_thread(self._put_aside, one, now)
            for item in aside:
                if item.removed_after is not None and item.removed_after <= now:
                    await asyncio.to_thread(self._remove, item)
            waiting = [one for one in await self._leftovers() if one.path in paths]
            kept = await asyncio.to_thread(lambda: tuple(self._quarantined()))
            return (*(GarbageItem(one.path, one.stored_bytes, one.reason) for one in waiting), *kept)

    async def _leftovers(self) -> tuple[Leftover, ...]:
        inventory = self._parts.inventory.snapshot()
        sandboxes = frozenset(
            machine.sandbox_id for machine in inventory.machines if machine.state is not State.DELETED
        )
        snapshots = self._parts.forks.snapshot_ids | {template.template_id for template in inventory.templates}
        return await self._parts.driver.garbage(sandboxes, snapshots)

    def _has_lost_its_ledger(self) -> bool:
        return any(any(self._data_dir.glob(f"ledger.db.{how}-*")) for how in ("damaged", "missing"))

    def _put_aside(self, leftover: Leftover, now: datetime) -> None:
        source = self._data_dir / leftover.path
        folder = self._data_dir / QUARANTINE
        folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{source.name}.{uuid4().hex[:8]}"
        note = {"path": leftover.path, "reason": leftover.reason, "at": now.astimezone(UTC).isoformat()}
        (folder / f"{name}{NOTE}").write_text(json.dumps(note))
        try:
            source.rename(folder / name)
        except FileNotFoundError:
            (folder / f"{name}{NOTE}").unlink()
            return
        _log.warning("put aside", path=leftover.path, reason=leftover.reason, quarantine=name)

    def _quarantined(self) -> Iterator[GarbageItem]:
        for note in sorted((self._data_dir / QUARANTINE).glob(f"*{NOTE}")):
            thing = note.with_name(note.name.removesuffix(NOTE))
            try:
                known = json.loads(note.read_text())
                at = datetime.fromisoformat(known["at"])
                reason = f"{known['reason']} (was {known['path']})"
            except (OSError, ValueError, KeyError, TypeError):
                continue
            path = str(thing.relative_to(self._data_dir))
            yield GarbageItem(path, blocks_of(thing), reason, at, at + GARBAGE_KEPT)

    def _remove(self, item: GarbageItem) -> None:
        thing = self._data_dir / item.path
        if thing.is_dir() and not thing.is_symlink():
            shutil.rmtree(thing, ignore_errors=True)
        else:
            thing.unlink(missing_ok=True)
        if not thing.exists():
            thing.with_name(thing.name + NOTE).unlink(missing_ok=True)
        _log.info("garbage removed", path=item.path)


def blocks_of(path: Path) -> int:
    """Bytes of the blocks that a file, or everything in a folder, takes on the disk."""
    total = 0
    for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
        try:
            total += each.lstat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total

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
from uuid import UUID, uuid4

import structlog

from agent.drivers.driver import QUARANTINE, Leftover
from agent.machine import State
from agent.parts import Parts
from agent.template import TemplateState

GARBAGE_KEPT = timedelta(days=1)
NOTE = ".json"
LEFT_ALONE = " Nothing is put aside: the ledger was damaged or missing once."
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

    def __init__(self, data_dir: Path, parts: Parts, kept: timedelta) -> None:
        """`kept` is how long things stay in quarantine."""
        self._data_dir = data_dir
        self._parts = parts
        self._kept = kept
        self._seen: frozenset[str] = frozenset()
        self._due: dict[str, float] = {}
        self._turn = asyncio.Lock()

    async def shortcomings(self) -> list[str]:
        """What an operator should know."""
        on_disk = await self._parts.driver.leftovers()
        # after the look: the ledger knows a sandbox before it has files
        unknown = len(on_disk - self._known())
        count = [f"{unknown} sandboxes lie on this host's disk that its ledger does not know."] if unknown else []
        if self.has_lost_its_ledger():
            sentence = (
                "What the ledger does not know is left alone, because it was damaged or missing (ledger.db.damaged-… "
                "or ledger.db.missing-… in the agent's data directory): delete such sandboxes by their ids, or remove "
                "that file when nobody misses anything."
            )
            return [*count, sentence]
        return [f"{one} They are put aside unless they run: delete them by their ids." for one in count]

    async def collect(self, *, dry_run: bool, at_once: bool = True) -> tuple[GarbageItem, ...]:
        """One round: what is found is put aside, what has been there for long enough is removed. Answers with all that
        is garbage afterwards. `dry_run` only tells. Nothing is put aside that was not found by two looks: the second
        one is at once, or else in the next round.

        Raises: AgentError, OSError.
        """
        async with self._turn:
            found = await self._leftovers()
            if not dry_run:
                await self._put_aside_all(found, at_once=at_once)
                await self._remove_due()
                found = await self._leftovers()
            why = LEFT_ALONE if self.has_lost_its_ledger() else ""
            aside = await asyncio.to_thread(lambda: tuple(self._quarantined()))
            return (*(GarbageItem(one.path, one.stored_bytes, one.reason + why) for one in found), *aside)

    async def _put_aside_all(self, found: tuple[Leftover, ...], *, at_once: bool) -> None:
        # A machine that was begun after what is known was read is not known, though its files are found. By the next
        # look the ledger knows it: it does before there are any files.
        before = frozenset(one.path for one in found) if at_once else self._seen
        again = await self._leftovers() if at_once and found else found
        self._seen = frozenset(one.path for one in again)
        if self.has_lost_its_ledger():
            return
        for one in again:
            if one.path in before:
                await asyncio.to_thread(self._put_aside, one, self._parts.now())

    async def _remove_due(self) -> None:
        """The time of day may jump without removing anything: it counts only when something is first seen."""
        now, monotonic = self._parts.now(), self._parts.monotonic()
        aside = await asyncio.to_thread(lambda: tuple(self._quarantined()))
        for item in aside:
            if item.removed_after is not None:
                left = min(item.removed_after - now, self._kept).total_seconds()
                self._due.setdefault(item.path, monotonic + left)
        self._due = {item.path: self._due[item.path] for item in aside if item.path in self._due}
        for item in aside:
            if self._due.get(item.path, monotonic) <= monotonic:
                await asyncio.to_thread(self._remove, item)

    async def _leftovers(self) -> tuple[Leftover, ...]:
        templates = self._parts.inventory.snapshot().templates
        # of the others the snapshot is not needed any more
        building = frozenset(one.template_id for one in templates if one.state is TemplateState.BUILDING)
        return await self._parts.driver.garbage(self._known(), self._parts.forks.snapshot_ids | building)

    def _known(self) -> frozenset[UUID]:
        machines = self._parts.inventory.snapshot().machines
        return frozenset(machine.sandbox_id for machine in machines if machine.state is not State.DELETED)

    def has_lost_its_ledger(self) -> bool:
        """Whether one was set aside, or was missing though there were files."""
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
            except (ValueError, KeyError, TypeError):
                at = datetime.fromtimestamp(note.stat().st_mtime, UTC)
                reason = "Nobody knows what it was: its note cannot be read."
            except OSError:
                continue
            path = str(thing.relative_to(self._data_dir))
            yield GarbageItem(path, blocks_of(thing), reason, at, at + self._kept)

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

"""Snapshots: what sandboxes were at one moment, kept aside for templates and forks. `freezing.py` makes them."""

import asyncio
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from agent.drivers.driver import Leftover
from agent.drivers.qemu import disks, manifests, ram, saved, threads
from agent.drivers.qemu.layers import Layers
from agent.drivers.qemu.manifests import ManifestError, SnapshotManifest
from agent.drivers.qemu.ram import Runs
from agent.drivers.qemu.standing import Standing, stands_on
from agent.errors import AgentError, Code

UNFINISHED = "unfinished-"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A complete one; its pages are mapped and proved."""

    folder: Path
    manifest: SnapshotManifest
    runs: Runs
    content: memoryview


class Snapshots:
    """All snapshots of this host, and the layers that they and machines stand on."""

    def __init__(self, folder: Path, layers: Layers, standing: Standing) -> None:
        self.layers = layers
        self.folder = folder
        self._standing = standing
        self._loaded: dict[UUID, Snapshot] = {}
        self._merged: dict[UUID, int] = {}
        self._children: dict[UUID, int] = {}
        self._turns = WeakValueDictionary[UUID, asyncio.Lock]()
        self.naming = asyncio.Lock()
        """Held while a layer has a name that nothing mentions yet, and while such layers are removed."""

    def open(self) -> None:
        """Removes what is not complete. Raises: OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.layers.open()
        for path in self.folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(path, ignore_errors=True)

    def has(self, snapshot_id: UUID) -> bool:
        """Whether it is complete."""
        return (self.folder / str(snapshot_id) / manifests.FILE).exists()

    def manifest(self, snapshot_id: UUID) -> SnapshotManifest:
        """What it is of. Raises: AgentError UNKNOWN_SNAPSHOT."""
        try:
            return manifests.read_snapshot(self.folder / str(snapshot_id))
        except ManifestError as error:
            message = "What was kept of the sandbox is not there any more, or is damaged."
            raise AgentError(Code.UNKNOWN_SNAPSHOT, message, detail=str(error)) from error

    async def load(self, snapshot_id: UUID) -> Snapshot:
        """A snapshot, read and proved once for all who start from it. Raises: AgentError UNKNOWN_SNAPSHOT."""
        async with self._turn(snapshot_id):
            if snapshot_id not in self._loaded:
                self._loaded[snapshot_id] = await threads.by(None, self._load, snapshot_id)
            return self._loaded[snapshot_id]

    def _turn(self, snapshot_id: UUID) -> asyncio.Lock:
        """Held while a snapshot is read, merged or dropped: each has its own, for as long as somebody waits for it."""
        return self._turns.setdefault(snapshot_id, asyncio.Lock())

    def _load(self, snapshot_id: UUID) -> Snapshot:
        manifest, folder = self.manifest(snapshot_id), self.folder / str(snapshot_id)
        try:
            missing = [name for name in manifest.layers if not self.layers.path(name).exists()]
            if missing:
                raise ManifestError(f"{folder}: layers are missing: {missing}")
            runs, content = saved.load_pages(folder, manifest.files, manifest.memory_mb << 20)
        except (ManifestError, OSError, ValueError) as error:
            message = "What was kept of the sandbox is damaged."
            raise AgentError(Code.UNKNOWN_SNAPSHOT, message, detail=str(error)) from error
        return Snapshot(folder, manifest, runs, content)

    def expect(self, snapshot_id: UUID, children: int) -> None:
        """So many are going to start from it; 0: nobody knows. An agent that starts knows of none."""
        self._children[snapshot_id] = children

    def is_for_few(self, snapshot: Snapshot, shared_bytes: int) -> bool:
        """Whether all who start from it take less when each gets the snapshot's pages for itself than `shared_bytes`,
        which is what `ram` copies for them to share."""
        children = self._children.get(UUID(snapshot.manifest.snapshot_id), 0)
        return 0 < children * ram.bytes_of(snapshot.runs) < shared_bytes

    async def ram(self, snapshot: Snapshot, base: int | None) -> int:
        """Its memory as one sealed file upon `base` (None: zeros), made once for all who start from it: they share what
        they do not write to. It stays this object's, until the snapshot is dropped. Raises: OSError."""
        name = UUID(snapshot.manifest.snapshot_id)
        async with self._turn(name):
            if name not in self._merged:
                await threads.by(None, self._merge, name, base, snapshot)
            return self._merged[name]

    def _merge(self, name: UUID, base: int | None, snapshot: Snapshot) -> None:
        """Kept by the thread itself: whoever waited for it may be gone by then."""
        size_bytes = snapshot.manifest.memory_mb << 20
        self._merged[name] = ram.merged(base, snapshot.runs, snapshot.content, size_bytes)

    def close(self) -> None:
        """Lets go of memory; machines that map it keep it."""
        for name in tuple(self._merged):
            self._let_go(name)

    def _let_go(self, snapshot_id: UUID) -> None:
        self._loaded.pop(snapshot_id, None)
        self._children.pop(snapshot_id, None)
        if (fd := self._merged.pop(snapshot_id, -1)) >= 0:
            os.close(fd)

    async def drop(self, snapshot_id: UUID) -> None:
        """Forgets it, and layers that nothing else stands on. May be repeated."""
        folder = self.folder / str(snapshot_id)
        async with self._turn(snapshot_id):
            self._let_go(snapshot_id)
            if folder.exists():
                await self.remove(folder)

    async def remove(self, folder: Path) -> None:
        """Removes a snapshot or a sandbox, and layers that nothing else stands on."""
        footing = await threads.by(None, stands_on, folder)
        await threads.by(None, shutil.rmtree, folder, ignore_errors=True)
        if footing.layers:
            await self.let_go(footing.layers, footing.image)

    async def let_go(self, names: Iterable[str], image: str) -> None:
        """Something stands on these layers, upon that image, no longer: those that nothing else stands on go."""
        async with self.naming:
            self.layers.loosen(names, image)
        await self.sweep()

    async def sweep(self) -> None:
        """Removes layers that were let go of, or made in vain, in the life of this agent. Others that nothing stands on
        are garbage: nobody knows how they came to that."""
        async with self.naming:
            count = await asyncio.to_thread(self._sweep)
        if count:
            log.info("layers_removed", count=count)

    def _sweep(self) -> int:
        try:
            return self.layers.sweep(self._standing.look())
        except OSError as error:
            log.warning("layers_not_swept", reason=repr(error))
            return 0

    def leftovers(self, known: frozenset[UUID]) -> list[Leftover]:
        """Snapshots that are not known, and whatever else lies there."""
        folder, names = self.folder, {str(snapshot_id) for snapshot_id in known}
        return [
            Leftover(f"{folder.name}/{path.name}", disks.blocks_of(path), "A snapshot of which the ledger is silent.")
            for path in sorted(folder.iterdir())
            if path.name not in names and not path.name.startswith(UNFINISHED)
        ]

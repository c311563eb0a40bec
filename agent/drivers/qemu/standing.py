"""What stands on what: nothing is removed that something stands on, and this is the only place that says so.

A sandbox, a snapshot, and whatever of them was put aside as garbage (an operator may bring it back) stand on a memory
image, and so on the disks below it, and on layers of disks. Each of them says on which: a sandbox in its record
(`records.py`), in its note (`layers.py`) and in what was saved of it, a snapshot in its manifest. Where one of a
sandbox's is damaged, another that says the same is enough. Where none is left, that thing, and no other, may stand on
whatever it could have named: on any image; or, if only its layers are not known, on any layer upon its image. So damage
to one of them removes nothing that it may need, and keeps nothing that it cannot need.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from agent.drivers.qemu import layers, manifests, records, saved
from agent.drivers.qemu.manifests import ManifestError, PauseManifest
from agent.drivers.qemu.needs import ANYTHING, Footing, Needs


class Standing:
    """Everything on this host that stands on something."""

    def __init__(self, machines_dir: Path, snapshots_dir: Path, quarantine: Path) -> None:
        self._machines_dir = machines_dir
        self._snapshots_dir = snapshots_dir
        self._quarantine = quarantine

    def look(self) -> Needs:
        """Reads all of it. Blocks."""
        found: list[Footing] = []
        try:
            found.extend(self._footings())
        except OSError:
            found.append(ANYTHING)
        images, names = (one.images for one in found), (one.layers for one in found)
        return Needs(tuple(found), frozenset[str]().union(*images), frozenset[str]().union(*names))

    def _footings(self) -> Iterator[Footing]:
        for folder in self._folders():
            footing = stands_on(folder)
            # one that was removed meanwhile could not be read, and needs nothing any more
            if folder.is_dir():
                yield footing

    def _folders(self) -> Iterator[Path]:
        """What is put aside meanwhile is found there. Raises: OSError."""
        for parent in (self._machines_dir, self._snapshots_dir):
            yield from (folder for folder in parent.iterdir() if is_id(folder.name))
        if self._quarantine.exists():
            yield from (path for path in self._quarantine.iterdir() if is_id(path.name.partition(".")[0]))


def stands_on(folder: Path) -> Footing:
    """What the sandbox or the snapshot in a folder stands on. Blocks."""
    return _of_snapshot(folder) if _is_snapshot(folder) else _of_sandbox(folder)


def _of_snapshot(folder: Path) -> Footing:
    try:
        known = manifests.read_snapshot(folder)
    except ManifestError:
        return ANYTHING
    return Footing(frozenset({known.image_id}), frozenset(known.layers))


def _of_sandbox(folder: Path) -> Footing:
    record, pauses = records.last(folder), list[PauseManifest]()
    with suppress(OSError):
        pauses = saved.readable(folder)
    images = {pause.image_id for pause in pauses} | ({record.image_id} if record is not None else set())
    names = {name for pause in pauses for name in pause.layers}
    try:
        names.update(layers.read(folder).layers)
        in_doubt = False
    except (OSError, ValueError):
        in_doubt = not any(pause.overlay for pause in pauses)
    return Footing(frozenset(images), frozenset(names), in_doubt)


def _is_snapshot(folder: Path) -> bool:
    return any((folder / name).exists() for name in (manifests.FILE, saved.MEMORY, saved.STATE))


def is_id(name: str) -> bool:
    """Whether that is how sandboxes and snapshots are called; 32 digits without dashes are a memory image."""
    with suppress(ValueError):
        return str(UUID(name)) == name
    return False

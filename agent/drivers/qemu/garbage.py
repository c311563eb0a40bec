"""What lies in the driver's folders and belongs to nothing. A kind of thing is a function here, or its owner's own."""

from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from agent.drivers.driver import Leftover
from agent.drivers.qemu import records
from agent.drivers.qemu.disks import blocks_of
from agent.drivers.qemu.images import ImageStore
from agent.drivers.qemu.layers import Layers
from agent.drivers.qemu.standing import Standing


def of_machines(machines_dir: Path, known: frozenset[UUID]) -> Iterable[Leftover]:
    """Folders of sandboxes that are not `known`. One whose machine runs is left alone: it can still be adopted."""
    names = {str(sandbox_id) for sandbox_id in known}
    for folder in sorted(machines_dir.iterdir()):
        if folder.name not in names and not records.is_running(folder):
            yield _leftover(folder, "A sandbox that the ledger does not know.")


def of_images(store: ImageStore, standing: Standing) -> Iterable[Leftover]:
    """Folders of the image store that are no images: unreadable, not finished, or put by. One that a sandbox or a
    snapshot stands on is its memory, whatever is wrong with it; while there is something that may stand on any image,
    nothing is said."""
    strangers = store.strangers()
    if not strangers:
        return
    needs = standing.look()
    for folder in strangers:
        if not needs.may_need_image(folder.name):
            yield _leftover(folder, "A memory image that is not complete, cannot be read or was removed.")


def of_layers(layers: Layers, standing: Standing) -> Iterable[Leftover]:
    """Layers that nothing stands on, and what is noted of them: an agent was killed while it made one, or what stood on
    it was put aside and is gone."""
    for path in layers.strangers(standing.look):
        yield _leftover(path, "A layer of a disk that nothing stands on.")


def of_bases(unneeded: Iterable[Path]) -> Iterable[Leftover]:
    """Base images and disks of base templates that nothing needs (`superseded.py`)."""
    for folder in unneeded:
        yield _leftover(folder, "A base image that no memory image stands on, or a disk that no template has.")


def _leftover(path: Path, reason: str) -> Leftover:
    """`path` lies in a folder of the data directory."""
    return Leftover(f"{path.parent.name}/{path.name}", blocks_of(path), reason)

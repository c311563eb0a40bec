"""What lies in the driver's folders and belongs to nothing. A kind of thing is a function here, or its owner's own."""

from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID

from agent.drivers.driver import Leftover
from agent.drivers.qemu import records
from agent.drivers.qemu.disks import blocks_of
from agent.drivers.qemu.images import ImageStore
from agent.drivers.qemu.manifests import ManifestError
from agent.drivers.qemu.superseded import images_in_use
from agent.errors import AgentError


def of_machines(machines_dir: Path, known: frozenset[UUID]) -> Iterable[Leftover]:
    """Folders of sandboxes that are not `known`. One whose machine runs is left alone: it can still be adopted."""
    names = {str(sandbox_id) for sandbox_id in known}
    for folder in sorted(machines_dir.iterdir()):
        if folder.name not in names and not records.is_running(folder):
            yield _leftover(folder, "A sandbox that the ledger does not know.")


def of_images(store: ImageStore, machines_dir: Path, others_use: Callable[[], frozenset[str]]) -> Iterable[Leftover]:
    """Folders of the image store that are no images: unreadable, or not finished. One that a sandbox or a snapshot
    stands on is its memory, whatever is wrong with it; where it cannot be told who stands on what, nothing is said."""
    strangers = store.strangers()
    if not strangers:
        return
    try:
        used = images_in_use(machines_dir) | others_use()
    except (ManifestError, AgentError):
        return
    for folder in strangers:
        if folder.name not in used:
            yield _leftover(folder, "A memory image that is not complete or cannot be read.")


def _leftover(folder: Path, reason: str) -> Leftover:
    """`folder` lies in a folder of the data directory."""
    return Leftover(f"{folder.parent.name}/{folder.name}", blocks_of(folder), reason)

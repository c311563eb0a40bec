"""Sandboxes and snapshots that the agent put aside as garbage (`agent/garbage.py`): an operator may bring them back, so
for as long as they are there they keep what they stand on. All of it blocks, and raises OSError, ValueError and
ManifestError where that cannot be told."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from agent.drivers.qemu import layers, manifests, records, saved


def layers_of(quarantine: Path) -> frozenset[str]:
    """The names of their layers."""
    found: set[str] = set()
    for folder in _folders(quarantine):
        found.update(manifests.read_snapshot(folder).layers if _is_snapshot(folder) else layers.read(folder).layers)
    return frozenset(found)


def images_of(quarantine: Path) -> frozenset[str]:
    """The content ids of their images."""
    found: set[str] = set()
    for folder in _folders(quarantine):
        if _is_snapshot(folder):
            found.add(manifests.read_snapshot(folder).image_id)
        else:
            found.add(records.image_of(folder))
            found.update(manifests.read_pause(pause).image_id for pause in saved.pauses(folder))
    return frozenset(found - {""})


def _folders(quarantine: Path) -> Iterator[Path]:
    for path in quarantine.glob("*.*"):
        with contextlib.suppress(ValueError):
            UUID(path.name.partition(".")[0])
            if path.is_dir():
                yield path


def _is_snapshot(folder: Path) -> bool:
    return (folder / manifests.FILE).exists()

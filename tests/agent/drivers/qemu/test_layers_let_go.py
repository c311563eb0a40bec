"""A layer goes with the last that stands on it, if that let go of it in order; others that nobody names are garbage."""

from pathlib import Path
from uuid import UUID

import pytest

from agent.drivers.qemu import QemuDriver, garbage, layers, manifests
from agent.images import BaseImage
from tests.agent.drivers.qemu.kept_files import KeptFiles, damage, lose, pause_of

MINE, OTHER = "c" * 32, "d" * 32


@pytest.fixture
def layer(files: KeptFiles) -> Path:
    """One that an earlier agent made, with its sum."""
    files.image(MINE)
    files.image(OTHER)
    path = files.snapshots.layers.path(files.layer())
    Path(f"{path}{layers.SUM_SUFFIX}").write_text("sum")
    return path


def strangers(files: KeptFiles) -> list[str]:
    """What the driver calls garbage of its layers."""
    return [one.path for one in garbage.of_layers(files.snapshots.layers, files.standing)]


async def test_a_layer_goes_with_the_last_that_stands_on_it(files: KeptFiles, layer: Path) -> None:
    snapshot, stopped = files.snapshot(MINE, layer.name), files.sandbox(MINE, layer.name)
    files.open()
    await files.snapshots.drop(UUID(snapshot.name))
    assert layer.exists()
    await files.snapshots.remove(stopped)
    assert not list(layer.parent.iterdir()), "its sum went with it"


async def test_a_layer_that_nothing_names_is_garbage(files: KeptFiles, layer: Path) -> None:
    files.open()
    await files.snapshots.sweep()
    assert strangers(files) == [f"layers/{layer.name}", f"layers/{layer.name}.sum"]
    stopped = files.sandbox(MINE, layer.name)
    assert strangers(files) == []
    files.put_aside(stopped)
    assert strangers(files) == []


async def test_a_damaged_sandbox_keeps_layers_upon_its_image_and_no_others(files: KeptFiles, layer: Path) -> None:
    other = files.snapshots.layers.path(files.layer())
    unnamed = files.layer()
    damaged = files.sandbox(MINE, layer.name)
    damage(damaged / layers.NOTE)
    mine, others = files.snapshot(MINE, layer.name), files.snapshot(OTHER, other.name)
    for snapshot in (mine, others):
        await files.snapshots.drop(UUID(snapshot.name))
    assert layer.exists()
    assert not other.exists()
    assert strangers(files) == [], "upon what the one lies that nothing names is not known"
    lose(damaged)
    await files.snapshots.sweep()
    assert not layer.exists()
    assert strangers(files) == [f"layers/{unnamed}"]


async def test_a_damaged_pause_keeps_nothing_for_others(files: KeptFiles, layer: Path) -> None:
    damage(pause_of(files.paused(MINE, files.layer())) / manifests.FILE)
    await files.snapshots.drop(UUID(files.snapshot(MINE, layer.name).name))
    assert not layer.exists()


async def test_a_layer_that_is_just_being_made_is_no_garbage_and_goes_if_nothing_came_of_it(files: KeptFiles) -> None:
    files.image(MINE)
    folder = files.sandbox(MINE)
    made = files.snapshots.layers.link(folder / "overlay.qcow2")
    assert strangers(files) == []
    await files.snapshots.sweep()
    assert not files.snapshots.layers.path(made).exists()
    assert (folder / "overlay.qcow2").exists()


async def test_a_sandbox_without_its_note_is_measured_all_the_same(files: KeptFiles, layer: Path) -> None:
    async def no_images(name: str) -> BaseImage:
        raise AssertionError(name)

    driver = QemuDriver(files.settings, no_images)
    folder = files.sandbox(MINE, layer.name)
    lose(folder / layers.NOTE)
    assert await driver.stored_bytes(UUID(folder.name)) > 0


def test_whatever_lies_among_snapshots_is_seen(files: KeptFiles) -> None:
    files.image(MINE)
    known, unknown = files.snapshot(MINE), files.snapshot(MINE)
    (files.snapshots.folder / "unfinished-x").mkdir()
    (files.snapshots.folder / "lost+found").mkdir()
    found = files.snapshots.leftovers(frozenset({UUID(known.name)}))
    assert {one.path for one in found} == {f"snapshots/{unknown.name}", "snapshots/lost+found"}
    assert not files.standing.look().is_in_doubt, "what is no snapshot stands on nothing"

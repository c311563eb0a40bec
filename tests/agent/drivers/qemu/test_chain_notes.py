"""A note that says in which layers a disk lies is missed when it is lost: nothing goes on upon another disk."""

from uuid import uuid4

import pytest

from agent.drivers.qemu import disks, layers, saved
from agent.errors import Code
from tests.agent.drivers.qemu.kept_files import KeptFiles, damage, launched, lose, nothing, pause_of, refused, spec_of

MINE = "c" * 32


@pytest.mark.parametrize("overlay", ["overlay.qcow2", ""])
async def test_without_its_note_a_child_of_a_fork_is_neither_resumed_nor_booted(files: KeptFiles, overlay: str) -> None:
    """Those of before have the overlay of a machine without layers."""
    files.image(MINE)
    layer = files.layer()
    folder = files.paused(MINE, layer, overlay=overlay)
    with launched():
        await files.cloner.resume(spec_of(folder), uuid4(), nothing)
    assert files.launcher.plan is not None
    assert files.launcher.plan.disk.layers == (files.snapshots.layers.path(layer),)
    for harm in (damage, lose):
        harm(folder / layers.NOTE)
        assert not saved.is_complete(folder)
        with refused(Code.IMAGE_MISMATCH):
            await files.cloner.resume(spec_of(folder), uuid4(), nothing)
        with refused(Code.START_FAILED):
            await files.booter.boot(spec_of(folder), uuid4(), nothing)
        assert pause_of(folder).exists()
        await files.snapshots.let_go((layer,), MINE)
        assert files.snapshots.layers.path(layer).exists(), "the pause names it"


async def test_without_its_note_a_stopped_sandbox_with_layers_is_not_booted(files: KeptFiles) -> None:
    files.image(MINE)
    folder, plain = files.sandbox(MINE, files.layer()), files.sandbox(MINE)
    for one in (folder, plain):
        with launched():
            await files.booter.boot(spec_of(one), uuid4(), nothing)
    lose(folder / layers.NOTE)
    with refused(Code.START_FAILED):
        await files.booter.boot(spec_of(folder), uuid4(), nothing)


def test_there_is_a_note_before_there_is_another_overlay(files: KeptFiles) -> None:
    files.image(MINE)
    folder = files.sandbox(MINE)
    assert layers.noted(folder) == layers.Chain()
    assert (folder / layers.NOTE).exists()
    other = folder / layers.next_overlay()
    disks.make_overlay(other, 1024)
    lose(folder / layers.NOTE)
    assert layers.read(folder) == layers.Chain(), "a snapshot of an agent of before failed, and left it unused"
    with other.open("ab") as file:
        file.write(bytes(1 << 16))
    with pytest.raises(ValueError, match="is missing"):
        layers.read(folder)

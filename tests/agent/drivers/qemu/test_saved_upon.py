"""What was saved is put upon nothing but the image that it was saved upon."""

from pathlib import Path
from uuid import UUID, uuid4

from agent.drivers.driver import NewTemplate
from agent.drivers.qemu import records
from agent.errors import Code
from tests.agent.drivers.qemu.kept_files import (
    KeptFiles,
    damage,
    launched,
    lose,
    nothing,
    pause_of,
    refused,
    rewrite,
    spec_of,
)

MINE = "c" * 32


def made_again(files: KeptFiles) -> None:
    """Somebody removed the image, and another was made under its name."""
    lose(files.settings.images_dir / MINE)
    files.open()
    files.image(MINE, b"second")


async def test_a_pause_is_not_put_upon_another_image_of_the_same_name(files: KeptFiles) -> None:
    files.image(MINE)
    folder, before = files.paused(MINE), files.paused(MINE)
    rewrite(pause_of(before), image_sha256=None, overlay=None, layers=None)
    for one in (folder, before):
        with launched():
            await files.cloner.resume(spec_of(one), uuid4(), nothing)
    made_again(files)
    with refused(Code.IMAGE_MISMATCH):
        await files.cloner.resume(spec_of(folder), uuid4(), nothing)
    assert pause_of(folder).exists()


async def test_a_disk_is_not_booted_upon_another_image_of_the_same_name(files: KeptFiles) -> None:
    files.image(MINE)
    folder = files.paused(MINE)
    made_again(files)
    with refused(Code.IMAGE_MISMATCH):
        await files.booter.boot(spec_of(folder), uuid4(), nothing)
    assert pause_of(folder).exists()


async def test_a_snapshot_is_not_put_upon_another_image_of_the_same_name(files: KeptFiles) -> None:
    files.image(MINE)
    folder, before = files.snapshot(MINE), files.snapshot(MINE)
    rewrite(before, image_sha256=None)
    child = spec_of(Path(str(uuid4())))
    for one in (folder, before):
        with launched():
            await files.cloner.fork(child, uuid4(), await files.snapshots.load(UUID(one.name)), nothing)
    made_again(files)
    snapshot = await files.snapshots.load(UUID(folder.name))
    with refused(Code.IMAGE_MISMATCH):
        await files.cloner.fork(child, uuid4(), snapshot, nothing)
    with refused(Code.IMAGE_MISMATCH):
        await files.templates.make(snapshot, NewTemplate(uuid4(), "mine"), nothing)
    assert not (files.settings.machines_dir / str(child.sandbox_id)).exists()


async def test_a_damaged_record_boots_nothing(files: KeptFiles) -> None:
    files.image(MINE)
    folder = files.sandbox(MINE)
    damage(folder / records.FILE)
    with refused(Code.START_FAILED):
        await files.booter.boot(spec_of(folder), uuid4(), nothing)

"""Images go when nothing stands on them, and with them what they stand on; what may be needed stays."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from agent.drivers.qemu import manifests, records
from agent.drivers.qemu.images import RAM
from agent.drivers.qemu.superseded import Sweeper
from agent.drivers.qemu.template import Recipe
from agent.drivers.qemu.templates import content_id
from agent.errors import Code
from agent.images import BaseImage
from tests.agent.drivers.qemu.kept_files import KeptFiles, damage, lose, pause_of, refused, strangers

MINE, OTHER = "c" * 32, "d" * 32
TEMPLATE = UUID("0190a0a0-0000-7000-8000-000000000000")


async def test_a_template_goes_though_a_sandbox_does_not_say_what_it_stands_on(files: KeptFiles) -> None:
    files.image(MINE)
    folder = files.image(content_id(TEMPLATE), template_id=str(TEMPLATE))
    damaged = files.sandbox(MINE)
    damage(damaged / records.FILE)
    await files.templates.remove(TEMPLATE)
    assert files.store.get(folder.name) is None
    # it may be that sandbox's: what is left of it is no garbage before the sandbox is gone
    [former] = files.settings.images_dir.glob(f"former-{folder.name}-*")
    assert (former / RAM).exists()
    assert strangers(files) == []
    files.open()
    assert files.store.get(folder.name) is None
    lose(damaged)
    assert strangers(files) == [f"memory-images/{former.name}"]


async def test_a_template_goes_whatever_else_of_a_sandbox_on_another_image_is_damaged(files: KeptFiles) -> None:
    files.image(MINE)
    folder = files.image(content_id(TEMPLATE), template_id=str(TEMPLATE))
    damaged = files.paused(MINE, files.layer())
    damage(damaged / "chain.json")
    damage(pause_of(damaged) / manifests.FILE)
    user = files.sandbox(folder.name)
    with refused(Code.TEMPLATE_IN_USE):
        await files.templates.remove(TEMPLATE)
    lose(user)
    await files.templates.remove(TEMPLATE)
    assert [path.name for path in files.settings.images_dir.iterdir()] == [MINE]


@pytest.fixture
def sweeper(files: KeptFiles) -> Sweeper:
    """It knows that the template boots from `base-now`, with an image that is not there; the others are superseded."""
    disk = files.data_dir / "images/base-now/disk"
    disk.parent.mkdir(parents=True)
    base = BaseImage(disk.with_name("kernel"), disk.with_name("initrd"), disk, "b" * 64, 1024)

    async def base_image(_: str) -> BaseImage:
        return base

    def recipe(name: str, base: BaseImage, vcpus: int, memory_mb: int) -> Recipe:
        return Recipe(name, vcpus, memory_mb, base, "tcg", "8.0", 1)

    return Sweeper(files.settings, files.store, base_image, recipe, files.standing)


async def test_what_is_superseded_goes_with_its_base_image_but_not_what_a_damaged_sandbox_may_stand_on(
    files: KeptFiles, sweeper: Sweeper
) -> None:
    files.image(MINE)
    files.image(OTHER, base="base-other")
    folder = files.paused(MINE)
    damage(pause_of(folder) / manifests.FILE)
    await sweeper.sweep()
    assert [image.manifest.content_id for image in files.store.all()] == [MINE], "the record says on which it stands"
    assert sorted(path.name for path in (files.data_dir / "images").iterdir()) == ["base-b", "base-now"]
    damage(folder / records.FILE)
    files.image(OTHER)
    await sweeper.sweep()
    assert len(files.store.all()) == 2


@pytest.mark.parametrize("harm", [damage, lose])
@pytest.mark.parametrize("where", ["store", "quarantine"])
async def test_a_base_image_stays_while_an_image_cannot_be_read(
    files: KeptFiles, sweeper: Sweeper, where: str, harm: Callable[[Path], None]
) -> None:
    folder = files.image(MINE, base="base-mine")
    files.image(OTHER, base="base-mine")
    if where == "quarantine":
        files.store._forget(MINE)
        folder = files.put_aside(folder)
        await sweeper.sweep()
        assert (files.data_dir / "images/base-mine").exists(), "it may be brought back"
        files.image(OTHER, base="base-mine")
    harm(folder / manifests.FILE)
    files.store._images.pop(MINE, None)
    await sweeper.sweep()
    assert files.store.all() == ()
    assert (files.data_dir / "images/base-mine").exists()
    assert sweeper.unneeded_bases() == []
    lose(folder)
    assert [path.name for path in sweeper.unneeded_bases()] == ["base-mine"]


async def test_disks_of_no_template_are_garbage_when_it_is_known_what_boots(files: KeptFiles, sweeper: Sweeper) -> None:
    files.image(MINE)
    files.sandbox(MINE)
    orphan = files.data_dir / f"images/disk-{OTHER}"
    orphan.mkdir()
    assert sweeper.unneeded() == []
    await sweeper.sweep()
    assert sweeper.unneeded() == [orphan]

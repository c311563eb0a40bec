"""Whatever shapes are asked for, no more than a few images of base templates stay that nobody stands on."""

from pathlib import Path

import pytest

from agent.drivers.driver import ProcessIdentity
from agent.drivers.qemu import images, records
from agent.drivers.qemu.images import STATE, ImageStore
from agent.drivers.qemu.manifests import FileSum, ImageManifest
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.standing import Standing
from agent.drivers.qemu.superseded import SHAPE_IDLE_SECONDS, SHAPES_KEPT, Sweeper
from agent.drivers.qemu.template import Recipe
from agent.images import BaseImage

KEPT_OF_SANDBOX = "of-a-sandbox"


class Clock:
    """Of the store."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def _publish(store: ImageStore, content_id: str, memory_mb: int, template_id: str = "") -> None:
    folder = store.begin(content_id)
    (folder / STATE).write_bytes(b"state")
    manifest = ImageManifest(
        content_id=content_id,
        template_name="base",
        vcpus=1,
        memory_mb=memory_mb,
        disk_size_mb=1024,
        accelerator="tcg",
        qemu_version="1",
        cpu="max",
        tsc_khz=1,
        kernel_arguments="",
        arguments=(),
        base_content_id="b",
        disks=("images/base-b/disk.ext4",),
        state=FileSum(5, ""),
        ram_bytes=memory_mb << 20,
        template_id=template_id,
    )
    store.publish(folder, manifest)
    store.discard(folder)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(images, "time", found)
    return found


async def test_shapes_that_nobody_wanted_for_long_go_and_the_last_used_stay(tmp_path: Path, clock: Clock) -> None:
    settings = QemuSettings(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    settings.machines_dir.mkdir()
    (tmp_path / "snapshots").mkdir()
    base = BaseImage(tmp_path / "kernel", tmp_path / "initrd", tmp_path / "images/base-b/disk.ext4", "b" * 64, 1024)
    base.disk.parent.mkdir(parents=True)
    standing = Standing(settings.machines_dir, tmp_path / "snapshots", tmp_path / "quarantine")
    store = ImageStore(settings.images_dir, standing)
    store.open()

    async def base_image(_: str) -> BaseImage:
        return base

    def recipe(name: str, base: BaseImage, vcpus: int, memory_mb: int) -> Recipe:
        return Recipe(name, vcpus, memory_mb, base, "tcg", "1", 1)

    names = [recipe("base", base, 1, memory_mb).content_id for memory_mb in range(600, 600 + SHAPES_KEPT + 5)]
    sweeper = Sweeper(settings, store, base_image, recipe, standing)
    user = settings.machines_dir / "0190a0a0-0000-7000-8000-00000000000a"
    user.mkdir()
    records.write(user, "", names[0], "", "image", ProcessIdentity(1, 1))
    _publish(store, KEPT_OF_SANDBOX, 512, template_id="0190a0a0-0000-7000-8000-000000000000")
    for memory_mb, name in enumerate(names, 600):
        clock.seconds += 1
        _publish(store, name, memory_mb)

    await sweeper.sweep()
    assert len(store.all()) == SHAPES_KEPT + 6, "what was just made may be about to be used"

    clock.seconds += SHAPE_IDLE_SECONDS
    await sweeper.sweep()
    kept = {image.manifest.content_id for image in store.all()}
    assert kept == {KEPT_OF_SANDBOX, names[0], *names[-SHAPES_KEPT:]}
    assert not store.path(names[1]).exists()
    assert base.disk.parent.exists()

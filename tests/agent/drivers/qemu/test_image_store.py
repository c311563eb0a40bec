"""An image that cannot be read is not replaced under those who stand on it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.drivers.qemu import manifests
from agent.drivers.qemu.images import RAM
from agent.errors import Code
from tests.agent.drivers.qemu.kept_files import KeptFiles, damage, lose, refused, strangers

MINE, OTHER = "c" * 32, "d" * 32


@pytest.mark.parametrize("harm", [damage, lose])
@pytest.mark.parametrize("kind", ["sandbox", "paused", "snapshot"])
def test_no_other_is_made_in_the_place_of_one_that_something_stands_on(
    files: KeptFiles, kind: str, harm: Callable[[Path], None]
) -> None:
    folder = files.image(MINE)
    getattr(files, kind)(MINE)
    harm(folder / manifests.FILE)
    files.open()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with refused(Code.IMAGE_MISMATCH):
        files.image(MINE, b"second")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert strangers(files) == []
    files.image(OTHER)


@pytest.mark.parametrize("harm", [damage, lose])
def test_one_that_nothing_stands_on_is_put_by_as_garbage(files: KeptFiles, harm: Callable[[Path], None]) -> None:
    folder = files.image(MINE)
    memory = (folder / RAM).read_bytes()
    harm(folder / manifests.FILE)
    files.open()
    assert strangers(files) == [f"memory-images/{MINE}"]
    files.image(MINE, b"second")
    assert files.store.get(MINE) is not None
    [path] = strangers(files)
    assert (files.data_dir / path / RAM).read_bytes() == memory
    files.open()
    assert [image.manifest.content_id for image in files.store.all()] == [MINE]

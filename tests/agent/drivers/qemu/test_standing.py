"""What stands on what: whatever is damaged may stand on all that it could have named, and nothing else may."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.drivers.qemu import layers, manifests, records
from agent.drivers.qemu.needs import ANYTHING, Footing
from agent.drivers.qemu.standing import stands_on
from tests.agent.drivers.qemu.kept_files import KeptFiles, damage, lose, pause_of

MINE, OTHER = "c" * 32, "d" * 32


@pytest.fixture
def forked(files: KeptFiles) -> tuple[Path, str]:
    """A paused child of a fork, and its layer; there is an image of somebody else's."""
    files.image(MINE)
    files.image(OTHER)
    layer = files.layer()
    return files.paused(MINE, layer), layer


def test_sandboxes_snapshots_and_what_was_put_aside_say_what_they_stand_on(files: KeptFiles) -> None:
    files.image(MINE)
    names = [files.layer() for _ in range(5)]
    files.sandbox(MINE)
    folders = [files.sandbox(MINE, *names[:2]), files.paused(MINE, names[2]), files.snapshot(MINE, names[3])]
    aside = [files.put_aside(files.paused(MINE, names[4])), files.put_aside(files.snapshot(MINE, names[0]))]
    found = [stands_on(folder).layers for folder in (*folders, *aside)]
    assert found == [{*names[:2]}, {names[2]}, {names[3]}, {names[4]}, {names[0]}]
    needs = files.standing.look()
    assert (needs.images, needs.layers, needs.is_in_doubt) == (frozenset({MINE}), frozenset(names), False)
    assert not needs.may_need_image(OTHER)
    assert not needs.may_need_layer(files.layer())


@pytest.mark.parametrize("harm", [damage, lose])
@pytest.mark.parametrize("what", ["record", "note", "pause"])
def test_one_thing_that_is_damaged_leaves_no_doubt_about_what_was_saved(
    files: KeptFiles, forked: tuple[Path, str], what: str, harm: Callable[[Path], None]
) -> None:
    folder, layer = forked
    harm(
        {"record": folder / records.FILE, "note": folder / layers.NOTE, "pause": pause_of(folder) / manifests.FILE}[
            what
        ]
    )
    assert stands_on(folder) == Footing(frozenset({MINE}), frozenset({layer}))
    assert not files.standing.look().may_need_image(OTHER)


@pytest.mark.parametrize("harm", [damage, lose])
def test_without_its_note_a_stopped_sandbox_may_stand_on_any_layer_upon_its_image(
    files: KeptFiles, forked: tuple[Path, str], harm: Callable[[Path], None]
) -> None:
    folder, layer = forked
    lose(pause_of(folder))
    harm(folder / layers.NOTE)
    needs = files.standing.look()
    assert not needs.may_need_image(OTHER)
    assert needs.may_need_layer(layer, MINE)
    assert needs.may_need_layer(layer), "upon what it lies is not known either"
    assert not needs.may_need_layer(layer, OTHER)


@pytest.mark.parametrize("harm", [damage, lose])
def test_without_its_record_a_stopped_sandbox_may_stand_on_any_image(
    files: KeptFiles, forked: tuple[Path, str], harm: Callable[[Path], None]
) -> None:
    folder, layer = forked
    lose(pause_of(folder))
    harm(folder / records.FILE)
    needs = files.standing.look()
    assert (needs.images, needs.layers) == (frozenset(), frozenset({layer}))
    assert needs.may_need_image(OTHER)
    assert not needs.may_need_layer(files.layer()), "its note says which layers"


@pytest.mark.parametrize("harm", [damage, lose])
def test_a_damaged_snapshot_may_stand_on_anything(files: KeptFiles, harm: Callable[[Path], None]) -> None:
    files.image(MINE)
    folder = files.snapshot(MINE, files.layer())
    harm(folder / manifests.FILE)
    assert stands_on(folder) == ANYTHING
    assert files.standing.look().may_need_layer(files.layer(), OTHER)


@pytest.mark.parametrize("key", [b"image_id", b"layers"])
def test_a_bit_that_leaves_a_note_readable_is_noticed(files: KeptFiles, forked: tuple[Path, str], key: bytes) -> None:
    folder, _ = forked
    lose(pause_of(folder))
    file = folder / (records.FILE if key == b"image_id" else layers.NOTE)
    content = bytearray(file.read_bytes())
    place = content.index(b'"', content.index(key) + len(key) + 2) + 1
    content[place] ^= 1
    file.write_bytes(content)
    footing = stands_on(folder)
    assert footing.images == ({MINE} if key == b"layers" else set())
    assert footing.layers_in_doubt == (key == b"layers")


def test_notes_of_before_there_were_seals_are_believed(files: KeptFiles, forked: tuple[Path, str]) -> None:
    folder, layer = forked
    lose(pause_of(folder))
    for name in (records.FILE, layers.NOTE):
        values = manifests.unseal((folder / name).read_bytes())
        values.pop("image_sha256", None)
        (folder / name).write_text(str(values).replace("'", '"'))
    assert stands_on(folder) == Footing(frozenset({MINE}), frozenset({layer}))


def test_a_memory_image_in_quarantine_is_no_sandbox(files: KeptFiles) -> None:
    # 32 digits are a UUID to those who do not look closely
    lose(files.put_aside(files.image(MINE)) / manifests.FILE)
    assert files.standing.look().footings == ()


def test_folders_that_cannot_be_listed_leave_everything_in_doubt(files: KeptFiles) -> None:
    files.image(MINE)
    files.sandbox(MINE)
    lose(files.snapshots.folder)
    needs = files.standing.look()
    assert needs.images == {MINE}
    assert needs.may_need_image(OTHER)
    assert needs.may_need_layer(files.layer(), OTHER)

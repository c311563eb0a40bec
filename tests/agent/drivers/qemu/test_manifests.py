"""What lies beside saved memory is proved before it is believed."""

from pathlib import Path
from uuid import uuid4

import pytest

from agent.drivers.qemu import manifests
from agent.drivers.qemu.manifests import FileSum, ManifestError, PauseManifest


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    manifest = _written(tmp_path)
    assert manifests.read_pause(tmp_path) == manifest


def test_damage_anywhere_in_a_manifest_is_noticed(tmp_path: Path) -> None:
    _written(tmp_path)
    file = tmp_path / manifests.FILE
    original = file.read_bytes()
    for position in range(len(original)):
        damaged = bytearray(original)
        damaged[position] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(ManifestError):
            manifests.read_pause(tmp_path)
    for size in range(len(original)):
        file.write_bytes(original[:size])
        with pytest.raises(ManifestError):
            manifests.read_pause(tmp_path)


def _written(folder: Path) -> PauseManifest:
    files = {"memory": FileSum(4096, "0" * 64), "state": FileSum(20_000, "f" * 64)}
    manifest = PauseManifest(str(uuid4()), str(uuid4()), "image", "7.2", "tcg", 4096, [1, 2, 3], files)
    manifests.write(folder, manifest)
    return manifest

import stat
from pathlib import Path

import pytest

from nestbox import data_dir
from nestbox.data_dir import prepare_data_dir
from nestbox.errors import Problem


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_other_accounts_can_pass_through_but_not_look_around(tmp_path: Path) -> None:
    folder = tmp_path / "deep/data"
    prepare_data_dir(folder)
    assert mode(folder) == 0o711
    assert mode(folder / "agent") == 0o711
    assert mode(folder / "logs") == 0o700


def test_loose_modes_are_tightened(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    prepare_data_dir(folder)
    assert mode(folder) == 0o711


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Problem, match=str(file)):
        prepare_data_dir(file / "data")


def test_a_full_disk_is_told_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir.check_room(tmp_path, fresh=True)
    monkeypatch.setattr(data_dir, "FRESH_MB_NEEDED", 10**9)
    data_dir.check_room(tmp_path, fresh=False)
    with pytest.raises(Problem, match="The disk is full"):
        data_dir.check_room(tmp_path, fresh=True)

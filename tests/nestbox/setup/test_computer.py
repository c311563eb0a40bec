from pathlib import Path

import pytest

from nestbox.errors import Problem
from nestbox.setup import computer

DEBIAN_12 = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'


def test_debian_12_is_known() -> None:
    assert computer.check_debian(DEBIAN_12) == "Debian GNU/Linux 12 (bookworm)"


@pytest.mark.parametrize(
    ("os_release", "name"),
    [
        ('PRETTY_NAME="Ubuntu 24.04 LTS"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n', "Ubuntu 24.04 LTS"),
        (DEBIAN_12.replace("12", "13"), "Debian GNU/Linux 13"),
        ("", "an unknown system"),
    ],
)
def test_another_system_is_told_by_its_name(os_release: str, name: str) -> None:
    with pytest.raises(Problem, match=name) as refused:
        computer.check_debian(os_release)
    assert "Debian 12" in refused.value.message
    assert refused.value.mend


def test_only_64_bit_pcs() -> None:
    computer.check_architecture("x86_64")
    with pytest.raises(Problem, match="aarch64"):
        computer.check_architecture("aarch64")


def test_old_pythons_are_refused() -> None:
    assert computer.check_python((3, 12)) == "Python 3.12"
    with pytest.raises(Problem, match=r"3\.10"):
        computer.check_python((3, 10))


def test_a_full_disk_is_told_before_anything_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    computer.check_disk(tmp_path / "not/there/yet")
    monkeypatch.setattr(computer, "FREE_DISK_GB_NEEDED", 10**9)
    with pytest.raises(Problem, match="GB are free"):
        computer.check_disk(tmp_path / "not/there/yet")

"""The binaries of the wheel, where an unprivileged account can reach them."""

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from nestbox.errors import Problem
from nestbox.postgres.account import Account, choose_account
from nestbox.postgres.software import Software, can_run, find_software


@dataclasses.dataclass(frozen=True)
class LimitedAccount(Account):
    """An account that reaches nothing but one folder, as others do when the environment lies below /root."""

    reachable: Path = Path("/nonexistent")

    def can(self, *argv: str | Path) -> bool:
        return str(argv[0]).startswith(str(self.reachable)) and super().can(*argv)


def limited(reachable: Path) -> LimitedAccount:
    return LimitedAccount(**dataclasses.asdict(choose_account(Path("/nonexistent"))), reachable=reachable)


def test_binaries_out_of_reach_are_copied_once(reachable_folder: Path) -> None:
    account = limited(reachable_folder)
    first = find_software(reachable_folder, account)
    assert first.bin.is_relative_to(reachable_folder)
    assert account.can(first.initdb, "--version")
    made = first.postgres.stat().st_mtime_ns, first.postgres.stat().st_ino
    assert find_software(reachable_folder, account) == first
    assert (first.postgres.stat().st_mtime_ns, first.postgres.stat().st_ino) == made


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes it for somebody else")
def test_the_account_cannot_change_its_copy(reachable_folder: Path) -> None:
    software = find_software(reachable_folder, limited(reachable_folder))
    for folder, _, files in os.walk(software.bin.parents[2]):
        for name in (".", *files):
            found = Path(folder, name).lstat()
            assert found.st_uid == 0
            assert Path(folder, name).is_symlink() or not found.st_mode & 0o022


def test_a_copy_that_does_not_run_is_explained(reachable_folder: Path) -> None:
    folder = reachable_folder / "closed"
    folder.mkdir()
    folder.chmod(0o700)
    with pytest.raises(Problem, match=f"The folder {folder} is closed"):
        find_software(folder, limited(Path("/nonexistent")))
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")
def test_an_environment_below_a_closed_folder_is_out_of_reach(reachable_folder: Path) -> None:
    """As below /root, which Debian closes to everybody else."""
    account = choose_account(Path("/nonexistent"))
    software = find_software(reachable_folder, limited(reachable_folder))
    assert can_run(account, software)
    reachable_folder.chmod(0o700)
    assert not can_run(account, software)


def test_the_binaries_of_the_wheel_are_used_when_they_can_be_reached(reachable_folder: Path) -> None:
    software: Software = find_software(reachable_folder, limited(Path("/")))
    assert not software.bin.is_relative_to(reachable_folder)
    assert list(reachable_folder.iterdir()) == []

"""Rules about files as a whole: names, lock files, the tree."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.house.sources import ROOT, files

FRONTEND_LINES_MAX = 250
LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-node.lock", "requirements-fuzz.lock"]
MIRRORED = ["api", "agent", "nestbox", "benchmarks"]
# Paths of the computer that this was written on, and addresses that only make sense there.
_ADDRESS = re.compile(
    r"(https?|file)://|^-(i|-index-url|-extra-index-url|f|-find-links)\b|--trusted-host", re.MULTILINE
)
_HASHED = re.compile(r"^[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", re.MULTILINE)
_PINNED = re.compile(r"^[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==", re.MULTILINE)


def addresses(text: str) -> list[str]:
    return [match[0] for match in _ADDRESS.finditer(text)]


def unhashed(text: str) -> int:
    return len(_PINNED.findall(text)) - len(_HASHED.findall(text))


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_has_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text()
    assert addresses(text) == []
    assert _PINNED.search(text)
    assert unhashed(text) == 0


def test_an_address_in_a_lock_file_is_noticed() -> None:
    assert addresses("--index-url https://example.org/simple\nx==1 \\\n    --hash=sha256:0\n")
    assert addresses("x @ file:///somewhere/x.whl\n")
    assert unhashed("x==1\ny==2 \\\n    --hash=sha256:" + "0" * 64) == 1


def test_the_development_lock_agrees_with_the_other() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^(\S+)==(\S+) \\$", (ROOT / name).read_text(), re.MULTILINE))

    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: version for name, version in runtime.items() if development.get(name) != version} == {}


def resolved(lock: Iterable[tuple[str, dict[str, object]]]) -> list[str]:
    return [name for name, package in lock if "resolved" in package]


def test_the_npm_lock_has_hashes_and_no_addresses() -> None:
    packages = json.loads((ROOT / "frontend/package-lock.json").read_text())["packages"]
    assert resolved(packages.items()) == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []


def test_an_address_in_the_npm_lock_is_noticed() -> None:
    assert resolved([("node_modules/x", {"resolved": "https://example.org/x.tgz"})])


def test_alembic_is_no_package() -> None:
    """It would shadow the library of that name."""
    assert not (ROOT / "alembic/__init__.py").exists()


def untested_folders(source: Path, tests: Path) -> list[str]:
    """Folders of tests that mirror nothing."""
    return [
        str(folder.relative_to(tests))
        for folder in sorted(tests.rglob("*"))
        if folder.is_dir()
        and folder.name != "__pycache__"
        and any(folder.glob("test_*.py"))
        and not (source / folder.relative_to(tests)).exists()
        and not (source / folder.relative_to(tests)).with_suffix(".py").exists()
    ]


@pytest.mark.parametrize("name", MIRRORED)
def test_tests_mirror_the_source(name: str) -> None:
    assert untested_folders(ROOT / name, ROOT / "tests" / name) == []


def test_a_folder_of_tests_without_source_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "tests/lost").mkdir(parents=True)
    (tmp_path / "tests/lost/test_x.py").touch()
    assert untested_folders(tmp_path / "source", tmp_path / "tests") == ["lost"]


def test_files_of_the_dashboard_stay_short() -> None:
    sources = files("frontend", suffixes=(".ts", ".tsx", ".css"))
    assert [path for path, text in sources if len(text.splitlines()) > FRONTEND_LINES_MAX] == []

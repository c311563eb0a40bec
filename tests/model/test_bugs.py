"""Known bugs of systems of this kind, each a patch: put into a copy of the tree, the tests notice it.

A test that was never seen to fail has shown nothing. Each patch begins with a sentence and names the tests that must
notice it. `make model` tries all of them; the suite sees that all of them still fit, and tries the quickest.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.model.settings import profile

ROOT = Path(__file__).parents[2]
BUGS = sorted((Path(__file__).parent / "bugs").glob("*.patch"))
COPIED = ("agent", "alembic", "api", "benchmarks", "nestbox", "proto", "tests", "pyproject.toml", "schema.graphql")
ALWAYS_TRIED = {"late-report", "revert-without-generation"}
TRIED = BUGS if profile() == "deep" else [bug for bug in BUGS if bug.stem in ALWAYS_TRIED]

LANES = 2
TESTS_FAILED = 1
"""pytest's exit status; others say that the tests could not be run."""


def catchers(bug: Path) -> list[str]:
    """The tests that must notice a bug."""
    match = re.search(r"^Caught-by: (.+)$", bug.read_text(), re.MULTILINE)
    assert match is not None, "the patch does not say what catches it"
    return match[1].split()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.stem)
def test_a_bug_fits_the_tree(bug: Path) -> None:
    done = subprocess.run(
        ["git", "apply", "--check", "-C1", str(bug)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all((ROOT / path.split("::")[0]).exists() for path in catchers(bug))


def test_there_are_enough_of_them() -> None:
    assert len(BUGS) >= 10


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Future[subprocess.CompletedProcess[str]]]]:
    """The runs of the tests that must notice, some at once: they mostly wait."""
    with ThreadPoolExecutor(LANES) as pool:
        yield {bug: pool.submit(run_with, bug, tmp_path_factory.mktemp(bug.stem)) for bug in TRIED}
        pool.shutdown(cancel_futures=True)


def run_with(bug: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Runs the tests that must notice a bug, on a copy of the tree that has it."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("node_modules"))
        else:
            shutil.copy(source, target)
    # not inside of any repository, so that git takes the paths as they are
    subprocess.run(["git", "apply", "-C1", str(bug)], cwd=folder, check=True, env={"GIT_CEILING_DIRECTORIES": "/"})
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *catchers(bug)],
        cwd=folder,
        env=os.environ | {"NESTBOX_MODEL": "quick"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", TRIED, ids=lambda bug: bug.stem)
def test_a_bug_is_noticed(bug: Path, tried: "dict[Path, Future[subprocess.CompletedProcess[str]]]") -> None:
    done = tried[bug].result()
    assert done.returncode == TESTS_FAILED, done.stdout + done.stderr

import subprocess
import sys
from pathlib import Path

from agent.drivers.qemu.prerequisites import PACKAGES
from nestbox.setup import debian

# Of Debian's own essential packages: always there.
ESSENTIAL = {"util-linux"}


def test_what_is_installed_is_not_missing() -> None:
    assert debian.missing(["dpkg", "no-such-package-at-all"]) == ["no-such-package-at-all"]


def test_the_tests_own_needs_come_only_with_development() -> None:
    assert "chromium" not in debian.needed(development=False)
    assert "chromium" in debian.needed(development=True)


def test_every_package_that_the_agent_may_ask_for_is_installed_by_the_set_up() -> None:
    assert set(PACKAGES.values()) - set(debian.RUNTIME) - ESSENTIAL == set()


def test_the_set_up_runs_on_the_standard_library_alone() -> None:
    """-S leaves out site-packages, -I everything else that is not Python's own; only our folder is added."""
    root = Path(__file__).parents[3]
    script = (
        f"import sys; sys.path.insert(0, {str(root)!r}); "
        "import nestbox.setup.__main__, nestbox.doctor.examine, nestbox.__main__, agent.images.__main__"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

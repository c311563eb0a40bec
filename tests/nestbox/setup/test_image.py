import fcntl
import sys
from pathlib import Path

import pytest

from nestbox.settings import PROJECT_ROOT, read_settings
from nestbox.setup.command import Commands
from nestbox.setup.environment import Environment
from nestbox.setup.image import Image
from nestbox.setup.progress import Progress


def test_a_running_platform_keeps_its_image_and_the_set_up_goes_on(
    reachable_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"NESTBOX_DATA_DIR": str(reachable_folder), "NESTBOX_CACHE_DIR": str(reachable_folder / "cache")}
    settings = read_settings(variables, root=False, home=reachable_folder)
    environment = Environment(PROJECT_ROOT)
    environment.python = Path(sys.executable)
    image = Image(environment, settings)
    (reachable_folder / "agent").mkdir()
    with (reachable_folder / "agent/lock").open("a") as agent:
        fcntl.flock(agent, fcntl.LOCK_EX)
        image.make_memory(Commands(PROJECT_ROOT, Progress(), {"PATH": "/usr/bin:/bin"}))
    assert "its next start prepares the new one" in capsys.readouterr().out
    assert not image.is_ready(), "the next set-up has to ask again"
    assert not (reachable_folder / "cache").exists()

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nestbox.platform import leftovers
from nestbox.platform.leftovers import end_leftovers
from tests.waiting import eventually

DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
READY_AND_WAIT = "from pathlib import Path\nPath('ready').touch()\nimport time\ntime.sleep(1000)\n"


@contextmanager
def program(folder: Path, name: str, token_file: Path, code: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A module `name` of its own, which looks like one of ours from outside."""
    folder.mkdir()
    (folder / f"{name}.py").write_text(code + READY_AND_WAIT)
    environment = {**os.environ, "NESTBOX_AGENT_TOKEN_FILE": str(token_file)}
    process = subprocess.Popen([sys.executable, "-m", name], cwd=folder, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_only_programs_of_this_data_directory_are_ended(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine/token", tmp_path / "theirs/token"
    said: list[str] = []
    with (
        program(tmp_path / "1", "api", mine) as api,
        program(tmp_path / "2", "agent", mine) as agent,
        program(tmp_path / "3", "api", theirs) as foreign,
        program(tmp_path / "4", "other", mine) as unknown,
    ):
        await eventually(lambda: all((tmp_path / str(n) / "ready").exists() for n in (1, 2, 3, 4)))
        end_leftovers(mine, said.append)
        await eventually(lambda: None not in (api.poll(), agent.poll()))
        assert (foreign.poll(), unknown.poll()) == (None, None)
        assert len(said) == 1
        assert all(str(process.pid) in said[0] for process in (api, agent))
        end_leftovers(mine, said.append)
        assert len(said) == 1, "nothing is left, so nothing is said"


async def test_a_leftover_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "END_SECONDS", 0.1)
    with program(tmp_path / "1", "agent", tmp_path / "token", DEAF) as deaf:
        await eventually((tmp_path / "1/ready").exists)
        end_leftovers(tmp_path / "token", lambda _: None)
        assert deaf.wait(10) == -9

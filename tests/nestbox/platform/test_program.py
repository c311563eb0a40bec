import os
import signal
import subprocess
import sys
from pathlib import Path

from nestbox.logs import LOG_BYTES_MAX
from nestbox.platform.program import Program
from tests.waiting import eventually

STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(1000)"
)


def start(tmp_path: Path, code: str, name: str = "program") -> Program:
    return Program(name, [sys.executable, "-c", code], os.environ, tmp_path / f"{name}.log", tmp_path)


async def test_a_program_that_ends_is_noticed_with_its_status(tmp_path: Path) -> None:
    program = start(tmp_path, "print('last words'); raise SystemExit(7)")
    assert await program.wait() == 7
    assert program.returncode == 7
    assert program.last_lines() == ["last words"]


async def test_only_the_lines_of_this_run_are_quoted(tmp_path: Path) -> None:
    await start(tmp_path, "print('first run')").wait()
    second = start(tmp_path, "print('second run')")
    await second.wait()
    assert second.last_lines() == ["second run"]
    assert (tmp_path / "program.log").read_text() == "first run\nsecond run\n"


async def test_it_lives_in_a_session_of_its_own(tmp_path: Path) -> None:
    program = start(tmp_path, "import time; time.sleep(1000)")
    assert os.getsid(program.pid) == program.pid
    assert await program.stop(10)
    assert program.returncode == -signal.SIGTERM


async def test_a_stubborn_program_is_killed_at_the_deadline(tmp_path: Path) -> None:
    program = start(tmp_path, STUBBORN)
    await eventually(lambda: program.last_lines() == ["deaf"])
    assert not await program.stop(0.1)
    assert program.returncode == -signal.SIGKILL


async def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    program = start(tmp_path, "pass")
    await program.wait()
    assert await program.stop(1)
    assert await program.stop(1)


async def test_a_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    log = tmp_path / "program.log"
    log.write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    program = start(tmp_path, "print('fresh')")
    await program.wait()
    assert log.read_text() == "fresh\n"
    assert (tmp_path / "program.log.1").stat().st_size == LOG_BYTES_MAX


async def test_a_log_is_emptied_under_a_program_that_goes_on_writing(tmp_path: Path) -> None:
    code = "import sys\nprint('before', flush=True)\nsys.stdin = open(sys.argv[1])\nsys.stdin.read()\nprint('after')"
    pipe, log = tmp_path / "pipe", tmp_path / "program.log"
    os.mkfifo(pipe)
    log.write_bytes(b"old\n")
    program = Program("program", [sys.executable, "-c", code, str(pipe)], os.environ, log, tmp_path)
    await eventually(lambda: program.last_lines() == ["before"])
    with log.open("ab") as noise:
        noise.write(b"x" * LOG_BYTES_MAX + b"\nlast of the old\n")
    program.bound_log()
    assert program.last_lines() == []
    pipe.write_text("go on")
    await program.wait()
    assert program.last_lines() == ["after"]
    assert log.read_text() == "after\n"
    assert (tmp_path / "program.log.1").read_bytes().endswith(b"x\nlast of the old\n")


PARENT = """
import asyncio, os, sys
from pathlib import Path
from nestbox.platform.program import Program

async def main():
    folder = Path(sys.argv[1])
    program = Program("child", ["sleep", "1000"], os.environ, folder / "child.log", folder)
    print(program.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_nothing_is_left_behind_by_a_platform_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:  # noqa: ASYNC220 - it is up at once
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        await eventually(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n")
        parent.kill()
    await eventually(lambda: not Path(f"/proc/{child}").exists())

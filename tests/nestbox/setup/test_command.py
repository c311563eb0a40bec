import sys
import threading
from pathlib import Path

import pytest

from nestbox.errors import Problem
from nestbox.setup import command
from nestbox.setup.command import CommandFailed, Commands
from nestbox.setup.progress import Progress

DEADLINE_SECONDS = 20


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path, Progress(), {"PATH": "/usr/bin:/bin", "INHERITED": "yes"})


def test_output_is_returned_and_logged(commands: Commands, tmp_path: Path) -> None:
    assert commands.run("step", ["sh", "-c", "echo out; echo err >&2"]) == "out\nerr\n"
    assert (tmp_path / ".setup/step.log").read_text() == "\n$ sh -c echo out; echo err >&2\nout\nerr\n"


def test_variables_are_added_to_the_environment(commands: Commands) -> None:
    assert commands.run("step", ["sh", "-c", 'echo "$INHERITED $ADDED"'], variables={"ADDED": "too"}) == "yes too\n"


def test_a_failure_shows_the_last_lines_and_where_all_of_them_are(commands: Commands, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as failed:
        commands.run("step", ["sh", "-c", "seq 100; exit 3"])
    assert "status 3" in failed.value.message
    assert "    100\n" in failed.value.message
    assert "    50\n" not in failed.value.message
    assert str(tmp_path / ".setup/step.log") in failed.value.message


def test_a_missing_program_is_named(commands: Commands) -> None:
    with pytest.raises(Problem, match="no-such-program"):
        commands.run("step", ["no-such-program"])


def test_echo_shows_each_line_with_its_step(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    commands.run("image", ["printf", "one\\ntwo\\n"], echo=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=3)[2:] for line in lines] == [["image", "one"], ["image", "two"]]


def test_a_silent_program_is_shown_to_be_alive(
    commands: Commands, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SILENCE_SECONDS", 0.05)
    commands.run("step", ["sh", "-c", "echo downloading; exec sleep 0.5"])
    assert "… downloading" in capsys.readouterr().out


def test_what_runs_can_be_ended_together(commands: Commands) -> None:
    failures: list[CommandFailed] = []
    started = threading.Event()

    def run() -> None:
        started.set()
        try:
            commands.run("step", [sys.executable, "-c", "import time; time.sleep(1000)"])
        except CommandFailed as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(DEADLINE_SECONDS)
    # Also one that is only just being started: whatever comes later is ended too.
    commands.end_all()
    thread.join(DEADLINE_SECONDS)
    assert len(failures) == 1

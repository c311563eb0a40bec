"""Which commands can be run."""
# ruff: noqa: S604 - `shell` is a line here, not a flag

import pytest

from api.domain.command import ExecCommand, check_command
from api.domain.file import check_mode, check_path
from api.errors import Invalid


def test_a_shell_line_is_run_by_the_shell() -> None:
    assert check_command(ExecCommand(shell="echo $X | wc")).argv == ("/bin/sh", "-c", "echo $X | wc")


@pytest.mark.parametrize(
    "command",
    [
        ExecCommand(),
        ExecCommand(argv=("true",), shell="true"),
        ExecCommand(argv=()),
        ExecCommand(argv=("",)),
        ExecCommand(shell=""),
        ExecCommand(argv=("echo", "a\0b")),
        ExecCommand(argv=("echo", "\ud800")),
        ExecCommand(argv=("echo", "x" * 2_000_000)),
        ExecCommand(argv=("echo", *("x" * 1000,) * 200)),
        ExecCommand(argv=("x",) * 1025),
        ExecCommand(argv=("true",), cwd="relative"),
        ExecCommand(argv=("true",), cwd="/\0"),
        ExecCommand(argv=("true",), environment=(("A-B", ""),)),
        ExecCommand(argv=("true",), stdin=b"x" * (1024 * 1024 + 1)),
        ExecCommand(argv=("true",), timeout_seconds=0),
        ExecCommand(argv=("true",), timeout_seconds=-1),
        ExecCommand(argv=("true",), timeout_seconds=3601),
        ExecCommand(argv=("true",), timeout_seconds=float("nan")),
        ExecCommand(argv=("true",), timeout_seconds=float("inf")),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_sentence(command: ExecCommand) -> None:
    with pytest.raises(Invalid) as refused:
        check_command(command)
    assert refused.value.message.endswith(".")
    assert refused.value.path


@pytest.mark.parametrize("path", ["", "relative", "/a\0b", "/\udc80", "/" + "x" * 4096])
def test_paths_that_no_guest_has_are_refused(path: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_path(path)
    assert refused.value.path == ("path",)


@pytest.mark.parametrize("mode", [-1, 0o1000, 1 << 40])
def test_modes_are_permission_bits(mode: int) -> None:
    with pytest.raises(Invalid):
        check_mode(mode)

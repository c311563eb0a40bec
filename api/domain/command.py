"""Commands that run in a sandbox."""

import math
from dataclasses import dataclass

from api.domain.environment import check_environment
from api.domain.text import check_text
from api.errors import Invalid

ARGUMENTS_MAX = 1024
ARGV_BYTES_MAX = 128 * 1024
"""All arguments together; Linux takes no single one that is longer."""
CWD_BYTES_MAX = 4096
STDIN_BYTES_MAX = 1024 * 1024
TIMEOUT_SECONDS_DEFAULT = 60.0
TIMEOUT_SECONDS_MAX = 3600.0
OUTPUT_BYTES_MAX = 1024 * 1024
"""Kept of each stream. A command that prints more runs on; what is beyond is read and dropped, and flagged."""


@dataclass(frozen=True, slots=True)
class ExecCommand:
    """A command to run: exactly one of `argv` and `shell`, the latter a line for `/bin/sh`. `cwd` None is the home
    directory; the environment is added to the sandbox's, as pairs, so that what is given twice is seen."""

    argv: tuple[str, ...] | None = None
    shell: str | None = None
    cwd: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    stdin: bytes | None = None
    timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT


@dataclass(frozen=True, slots=True)
class Execution:
    """A command that can be run: every field is within its limits."""

    argv: tuple[str, ...]
    cwd: str
    environment: dict[str, str]
    stdin: bytes
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command ended. `exit_code` is 128 + `signal` for one ended by a signal. Each output holds its first
    `OUTPUT_BYTES_MAX` bytes and is flagged when there was more."""

    exit_code: int
    signal: int | None
    timed_out: bool
    duration_us: int
    stdout: bytes
    stderr: bytes
    stdout_truncated: bool
    stderr_truncated: bool


def check_command(command: ExecCommand) -> Execution:
    """The command with every field checked.

    Raises:
        Invalid: both or neither of argv and shell, something too large, or a text that no process can be given.
    """
    if (command.argv is None) == (command.shell is None):
        raise Invalid("Give the command either as argv or as a shell line.", path=("argv",))
    if command.shell is not None:
        check_text(command.shell, "The shell line", max_bytes=ARGV_BYTES_MAX, min_bytes=1, path=("shell",))
        argv: tuple[str, ...] = ("/bin/sh", "-c", command.shell)
    else:
        argv = _check_argv(command.argv or ())
    cwd = command.cwd or ""
    if cwd:
        check_text(cwd, "The working directory", max_bytes=CWD_BYTES_MAX, path=("cwd",))
        if not cwd.startswith("/"):
            raise Invalid("The working directory must be an absolute path.", path=("cwd",))
    stdin = command.stdin or b""
    if len(stdin) > STDIN_BYTES_MAX:
        raise Invalid(f"At most {STDIN_BYTES_MAX:,} bytes of input are accepted.", path=("stdin",))
    timeout = command.timeout_seconds
    # NaN compares false with everything, so it is named
    if math.isnan(timeout) or not 0.001 <= timeout <= TIMEOUT_SECONDS_MAX:
        raise Invalid(
            f"The timeout must be more than 0 and at most {TIMEOUT_SECONDS_MAX:,.0f} seconds.", path=("timeoutSec",)
        )
    environment = check_environment(command.environment, path=("environment",))
    return Execution(argv, cwd, environment, stdin, timeout_ms=math.ceil(timeout * 1000))


def _check_argv(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv or not argv[0]:
        raise Invalid("argv needs at least the name of a program.", path=("argv",))
    if len(argv) > ARGUMENTS_MAX:
        raise Invalid(f"At most {ARGUMENTS_MAX:,} arguments are accepted.", path=("argv",))
    for index, argument in enumerate(argv):
        check_text(argument, "An argument", max_bytes=ARGV_BYTES_MAX, path=("argv", str(index)))
    total_bytes = sum(len(argument.encode()) + 1 for argument in argv)
    if total_bytes > ARGV_BYTES_MAX:
        raise Invalid(
            f"The arguments are too long: {total_bytes:,} bytes, at most {ARGV_BYTES_MAX:,} are accepted. "
            "Write a file and pass its path.",
            path=("argv",),
        )
    return argv

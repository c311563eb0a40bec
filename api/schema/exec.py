"""Running commands in sandboxes."""

import base64
import binascii
from typing import Annotated

import strawberry

from api.domain import command as domain
from api.errors import Invalid, NestboxError
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.fields import command
from api.schema.labels import EnvironmentVariableInput, environment_pairs


@strawberry.input(description="What to run.")
class ExecInput:
    sandbox_id: strawberry.ID = strawberry.field(description="Where to run it: `sb-…`.")
    argv: list[str] | None = strawberry.field(
        default=None, description="The program and its arguments, without a shell. Exactly one of `argv` and `shell`."
    )
    shell: str | None = strawberry.field(default=None, description="A line for `/bin/sh -c`.")
    cwd: str | None = strawberry.field(
        default=None, description="The directory to run it in, as an absolute path; default: the home directory."
    )
    environment: list[EnvironmentVariableInput] | None = strawberry.field(
        default=None, description="Variables beside those of the sandbox; these win."
    )
    stdin: str | None = strawberry.field(
        default=None, description="What it reads from its standard input; at most one of `stdin` and `stdinBase64`."
    )
    stdin_base64: str | None = strawberry.field(default=None, description="The same as bytes, in base64.")
    timeout_sec: float | None = strawberry.field(
        default=domain.TIMEOUT_SECONDS_DEFAULT, description="Killed after so many seconds; at most 3,600."
    )


@strawberry.type(description="How a command ended and what it printed. Of each output the first 1 MiB is kept.")
class ExecResult:
    exit_code: int = strawberry.field(description="Its exit code; 128 + the signal when a signal ended it.")
    signal: int | None = strawberry.field(description="The signal that ended it; null when it ended by itself.")
    timed_out: bool = strawberry.field(description="It was killed because its time was over.")
    duration_ms: float = strawberry.field(description="How long it ran, in milliseconds, measured in the guest.")
    stdout: str = strawberry.field(description="What it printed, as text; bytes that are not UTF-8 become U+FFFD.")
    stderr: str = strawberry.field(description="Its errors, as text; bytes that are not UTF-8 become U+FFFD.")
    stdout_base64: str = strawberry.field(description="What it printed, exactly, in base64.")
    stderr_base64: str = strawberry.field(description="Its errors, exactly, in base64.")
    stdout_truncated: bool = strawberry.field(description="It printed more than is kept.")
    stderr_truncated: bool = strawberry.field(description="It printed more errors than are kept.")


@strawberry.type(description="What became of `exec`.")
class ExecPayload:
    result: ExecResult | None = strawberry.field(
        default=None, description="How it ended, whatever its exit code; null when it could not be run."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class ExecCommands:
    @command("Runs a command in a running sandbox and answers when it has ended. Going away kills the command.")
    async def exec(
        self,
        info: OperationInfo,
        what: Annotated[ExecInput, strawberry.argument(name="input", description="What to run.")],
    ) -> ExecPayload:
        context = info.context
        try:
            sandbox_id = parse_id(Kind.SANDBOX, what.sandbox_id, path=("sandboxId",))
            result = await context.services.exec.run(context.principal, sandbox_id, _command(what))
        except NestboxError as error:
            return ExecPayload(user_errors=[user_error(error)])
        return ExecPayload(result=_result(result, context.selected))


def _command(what: ExecInput) -> domain.ExecCommand:
    timeout = what.timeout_sec
    return domain.ExecCommand(
        argv=None if what.argv is None else tuple(what.argv),
        shell=what.shell,
        cwd=what.cwd,
        environment=environment_pairs(what.environment),
        stdin=_stdin(what),
        timeout_seconds=domain.TIMEOUT_SECONDS_DEFAULT if timeout is None else timeout,
    )


def _stdin(what: ExecInput) -> bytes | None:
    if what.stdin is not None and what.stdin_base64 is not None:
        raise Invalid("Give the input either as `stdin` or as `stdinBase64`.", path=("stdinBase64",))
    if what.stdin_base64 is not None:
        return decode_base64(what.stdin_base64, "stdinBase64")
    return None if what.stdin is None else encode_text(what.stdin, "stdin")


def encode_text(text: str, path: str) -> bytes:
    """The UTF-8 of a text. Raises: Invalid when it holds half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"`{path}` is not valid Unicode: it holds half of a surrogate pair.", path=(path,)) from None


def decode_base64(text: str, path: str) -> bytes:
    """The bytes of base64 (RFC 4648, section 4). Raises: Invalid when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Invalid(f"`{path}` is not base64.", path=(path,)) from None


def _result(result: domain.ExecResult, selected: frozenset[str]) -> ExecResult:
    # an output can be 1 MiB: what nobody asked for is not converted
    return ExecResult(
        exit_code=result.exit_code,
        signal=result.signal,
        timed_out=result.timed_out,
        duration_ms=result.duration_us / 1000,
        stdout=result.stdout.decode(errors="replace") if "stdout" in selected else "",
        stderr=result.stderr.decode(errors="replace") if "stderr" in selected else "",
        stdout_base64=base64.b64encode(result.stdout).decode() if "stdoutBase64" in selected else "",
        stderr_base64=base64.b64encode(result.stderr).decode() if "stderrBase64" in selected else "",
        stdout_truncated=result.stdout_truncated,
        stderr_truncated=result.stderr_truncated,
    )

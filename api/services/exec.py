"""Running commands in sandboxes."""

from contextlib import aclosing
from uuid import UUID

from api.domain.command import OUTPUT_BYTES_MAX, ExecCommand, ExecResult, check_command
from api.domain.principal import Principal, Scope, require
from api.domain.sandbox import Action
from api.errors import Internal
from api.hosts.client import Exited, HostClient, Output
from api.services.use import Use


class Exec:
    """Commands run to their end, with their output collected."""

    def __init__(self, use: Use) -> None:
        self._use = use

    async def run(self, principal: Principal, sandbox_id: UUID, command: ExecCommand) -> ExecResult:
        """Runs a command and returns when it has ended. Cancelling kills the command.

        Of each output `OUTPUT_BYTES_MAX` bytes are kept. A command that prints more runs on to its end or its timeout;
        what is beyond is dropped, and flagged.

        Raises:
            Invalid: the command, or the guest finds no such program or folder. NotFound: no such sandbox.
            Conflict: it does not run. Unavailable: its host does not answer.
        """
        require(principal, Scope.WRITE)
        execution = check_command(command)
        begun = False

        async def run(client: HostClient) -> ExecResult:
            nonlocal begun
            collected = {1: _Collected(), 2: _Collected()}
            async with aclosing(client.exec(sandbox_id, execution)) as events:
                async for event in events:
                    # whatever comes: it is never run twice
                    begun = True
                    match event:
                        case Output(stream, data):
                            collected[stream].add(data)
                        case Exited():
                            return _result(event, collected[1], collected[2])
            raise Internal("A command ended without a word.")

        return await self._use.call(principal, sandbox_id, Action.EXEC, run, repeatable=lambda: not begun)


class _Collected:
    """The first bytes of an output."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self.truncated = False

    def add(self, data: bytes) -> None:
        room = OUTPUT_BYTES_MAX - self._size
        if len(data) > room:
            self.truncated = True
            data = data[:room]
        if data:
            self._chunks.append(data)
            self._size += len(data)

    def content(self) -> bytes:
        return b"".join(self._chunks)


def _result(ended: Exited, stdout: _Collected, stderr: _Collected) -> ExecResult:
    return ExecResult(
        exit_code=ended.exit_code,
        signal=ended.signal or None,
        timed_out=ended.timed_out,
        duration_us=ended.duration_us,
        stdout=stdout.content(),
        stderr=stderr.content(),
        stdout_truncated=stdout.truncated,
        stderr_truncated=stderr.truncated,
    )

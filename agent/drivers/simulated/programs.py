"""The programs of a simulated machine, enough to test what carries them.

`true`, `false`, `echo`, `cat [file]` (standard input without one), `env`, `pwd`, `sleep seconds`, and `sh -c` of
these, joined by `;`, with `exit n`, `>&2` and `> file`.
"""

import asyncio
import shlex
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from agent.drivers.driver import Command, ExecEvent, Exited, Output, Started
from agent.drivers.simulated.disk import CHUNK_BYTES, Disk
from agent.errors import AgentError, Code

HOME = "/root"
STDIN_PIECES_MAX = 64
"""Pieces of input that wait for a program that does not read."""

_NAMES = frozenset({"true", "false", "echo", "cat", "env", "pwd", "sleep", "sh"})
_SIGKILL = 9


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a program sees of its machine."""

    disk: Disk
    environment: dict[str, str]
    gone: Callable[[], bool]


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Killed(Exception):
    pass


class SimulatedProcess:
    """One command; see `Process`. It runs while it is iterated."""

    def __init__(self, command: Command, pid: int, surroundings: Surroundings) -> None:
        self._command = command
        self._pid = pid
        self._around = surroundings
        self._cwd = command.cwd or HOME
        self._environment = surroundings.environment | command.environment
        self._stdin: deque[bytes] = deque()
        self._stdin_ended = False
        self._closed = False
        self._ended = False
        self._deadline: float | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def notice(self) -> None:
        """Something about the machine changed."""
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[ExecEvent]:
        """Its events; it runs as fast as they are read."""
        self._require_startable()
        since = time.perf_counter()
        if self._command.timeout_ms:
            self._deadline = asyncio.get_running_loop().time() + self._command.timeout_ms / 1000
        yield Started(self._pid)
        exit_code, signal, timed_out = 0, 0, False
        try:
            async for output in self._run(self._command.argv):
                yield output
        except _Exit as end:
            exit_code = end.code
        except TimeoutError:
            exit_code, signal, timed_out = 128 + _SIGKILL, _SIGKILL, True
        except _Killed:
            exit_code, signal = 128 + _SIGKILL, _SIGKILL
        finally:
            self._ended = True
            self._room.set()
        yield Exited(exit_code, signal, timed_out, int((time.perf_counter() - since) * 1_000_000))

    async def write(self, data: bytes) -> None:
        """Gives it input."""
        await self._room.wait()
        if not self._ended:
            self._stdin.append(data)
            if len(self._stdin) >= STDIN_PIECES_MAX:
                self._room.clear()
            self._news.set()

    async def close_stdin(self) -> None:
        """The end of its input."""
        self._stdin_ended = True
        self._news.set()

    async def close(self) -> None:
        """Kills it."""
        self._closed = self._ended = True
        self._room.set()
        self._news.set()

    def _require_startable(self) -> None:
        name = self._command.argv[0].removeprefix("/bin/").removeprefix("/usr/bin/")
        if name not in _NAMES:
            if self._around.disk.content(self._command.argv[0]) is not None:
                raise AgentError(Code.COMMAND_NOT_EXECUTABLE, f"{self._command.argv[0]} is not executable.")
            raise AgentError(Code.COMMAND_NOT_FOUND, f"There is no command {self._command.argv[0]}.")
        if not self._around.disk.is_folder(self._cwd):
            raise AgentError(Code.NO_SUCH_DIRECTORY, f"There is no folder {self._cwd}.")

    async def _run(self, argv: tuple[str, ...]) -> AsyncIterator[Output]:
        """One program; `_Exit` unless it succeeds."""
        self._check()
        name, arguments = argv[0].rpartition("/")[2], argv[1:]
        match name:
            case "true":
                pass
            case "false":
                raise _Exit(1)
            case "exit":
                raise _Exit(int(arguments[0]) if arguments else 0)
            case "echo":
                yield Output(1, f"{' '.join(arguments)}\n".encode())
            case "pwd":
                yield Output(1, f"{self._cwd}\n".encode())
            case "env":
                yield Output(1, "".join(f"{name}={value}\n" for name, value in self._environment.items()).encode())
            case "sleep":
                await self._sleep(float(arguments[0]))
            case "cat":
                async for output in self._cat(arguments):
                    yield output
            case "sh":
                async for output in self._shell(arguments[1] if arguments[:1] == ("-c",) and arguments[1:] else ""):
                    yield output
            case _:
                yield Output(2, f"sh: {name}: not found\n".encode())
                raise _Exit(127)

    async def _shell(self, script: str) -> AsyncIterator[Output]:
        code = 0
        for line in script.split(";"):
            words = shlex.split(line)
            if not words:
                continue
            to_stderr = ">&2" in words
            words = [word for word in words if word != ">&2"]
            path = words[words.index(">") + 1] if ">" in words[:-1] else None
            written = bytearray()
            if path is not None:
                words = words[: words.index(">")]
            try:
                async for output in self._run(tuple(words)):
                    if path is not None and output.stream == 1:
                        written += output.data
                    else:
                        yield Output(2 if to_stderr else output.stream, output.data)
                code = 0
            except _Exit as end:
                if words[0] == "exit":
                    raise
                code = end.code
            if path is not None:
                self._around.disk.put(path if path.startswith("/") else f"{self._cwd}/{path}", bytes(written))
        if code:
            raise _Exit(code)

    async def _cat(self, paths: tuple[str, ...]) -> AsyncIterator[Output]:
        for path in paths:
            content = self._around.disk.content(path if path.startswith("/") else f"{self._cwd}/{path}")
            if content is None:
                yield Output(2, f"cat: {path}: No such file or directory\n".encode())
                raise _Exit(1)
            for start in range(0, len(content), CHUNK_BYTES):
                yield Output(1, content[start : start + CHUNK_BYTES])
        while not paths:
            await self._wait_for_input()
            if not self._stdin:
                return
            data = self._stdin.popleft()
            self._room.set()
            for start in range(0, len(data), CHUNK_BYTES):
                yield Output(1, data[start : start + CHUNK_BYTES])

    async def _wait_for_input(self) -> None:
        while not self._stdin and not self._stdin_ended:
            self._news.clear()
            self._check()
            async with asyncio.timeout_at(self._deadline):
                await self._news.wait()
        self._check()

    async def _sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            self._news.clear()
            self._check()
            until = end if self._deadline is None else min(end, self._deadline)
            try:
                async with asyncio.timeout_at(until):
                    await self._news.wait()
            except TimeoutError:
                if until != end:
                    raise

    def _check(self) -> None:
        if self._around.gone():
            raise AgentError(Code.MACHINE_GONE, "The sandbox's machine ended or was paused while the command ran.")
        if self._closed:
            raise _Killed

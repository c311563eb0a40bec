"""A command in a guest."""

import asyncio
from collections.abc import AsyncIterator

from agent.drivers.driver import Command, ExecEvent, Exited, Output, Started
from agent.errors import AgentError, Code
from agent.guest import wire
from agent.link import requests
from agent.link.channel import STALL_SECONDS, Channel
from agent.link.stream import Stream

_ANSWERS = frozenset({wire.STARTED, wire.STDOUT, wire.STDERR, wire.EXITED})
_STREAMS = {wire.STDOUT: 1, wire.STDERR: 2}
PID_MAX = 1 << 22
SIGNAL_MAX = 64
DURATION_US_MAX = 1 << 62


class GuestProcess:
    """Implements `agent.drivers.driver.Process` over the guest link. To be closed in the end, however it ended."""

    def __init__(self, channel: Channel, command: Command) -> None:
        """Asks for the start. Raises: AgentError if the command cannot be asked for."""
        body = requests.command(command)
        self._stream = Stream(channel, wire.EXEC, body, answers=_ANSWERS, window=wire.STDIN_WINDOW)
        self._over = False
        self._started = False
        self._input_ended = False
        self._input = asyncio.Lock()
        self._deadline: float | None = None
        if command.timeout_ms:
            # the guest keeps the time; this is for one that does not
            self._deadline = asyncio.get_running_loop().time() + command.timeout_ms / 1000 + STALL_SECONDS

    def __aiter__(self) -> AsyncIterator[ExecEvent]:
        return self

    async def __anext__(self) -> ExecEvent:
        if self._over:
            raise StopAsyncIteration
        try:
            kind, payload = await self._stream.next(self._patience())
            return self._event(kind, payload)
        except AgentError:
            self._over = True
            self._stream.close()
            raise

    def _patience(self) -> float | None:
        if not self._started:
            return STALL_SECONDS
        if self._deadline is None:
            return None
        return max(0.001, self._deadline - asyncio.get_running_loop().time())

    def _event(self, kind: int, payload: bytes) -> ExecEvent:
        if kind == wire.STARTED:
            self._started = True
            (pid,) = wire.PID.unpack(payload)
            return Started(_within(pid, 1, PID_MAX))
        if kind != wire.EXITED:
            return Output(_STREAMS[kind], payload)
        self._over = True
        exit_code, signal, timed_out, duration_us = wire.EXIT.unpack(payload)
        return Exited(
            _within(exit_code, 0, 255),
            _within(signal, 0, SIGNAL_MAX),
            bool(_within(timed_out, 0, 1)),
            _within(duration_us, 0, DURATION_US_MAX),
        )

    async def write(self, data: bytes) -> None:
        """Gives it input; waits while it does not read. Input to one that ended is dropped."""
        async with self._input:
            if not self._input_ended:
                await self._stream.send(data)

    async def close_stdin(self) -> None:
        """The end of its input."""
        async with self._input:
            if not self._input_ended:
                self._input_ended = True
                self._stream.end()

    async def close(self) -> None:
        """Kills its process group if it still runs, and forgets it. May be repeated."""
        self._over = True
        self._stream.close()


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise AgentError(Code.INTERNAL, "The guest's agent gave an impossible answer.", detail=f"{value}")
    return value

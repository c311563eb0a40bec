"""A driver to be tested, and what one does with its machines."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from agent.drivers.driver import Command, Driver, ExecEvent, Exited, LiveMachine, Output, Started
from agent.errors import AgentError, Code
from agent.machine import Spec
from tests.agent.drivers.qemu.laboratory import new_spec
from tests.agent.serving import iter_of

DEADLINE_SECONDS = 30


def no_stages(_: str) -> None:
    """For those who do not ask."""


@dataclass
class Bench:
    """A driver, and how to make another on the same data, as a restarted agent does."""

    name: str
    make: Callable[[], Driver]
    driver: Driver

    async def restart(self) -> None:
        await self.driver.close()
        self.driver = self.make()
        await self.driver.open()
        await self.driver.prepare("base", 1, 512)

    async def start(self, spec: Spec) -> LiveMachine:
        return await self.driver.start(spec, uuid4(), no_stages)

    @contextlib.asynccontextmanager
    async def sandbox(self, **environment: str) -> AsyncIterator[tuple[Spec, LiveMachine]]:
        """One that runs; nothing is left of it afterwards."""
        spec = new_spec(**environment)
        machine = await self.start(spec)
        try:
            yield spec, machine
        finally:
            await self.driver.remove(spec.sandbox_id)


@dataclass
class Ran:
    stdout: bytes = b""
    stderr: bytes = b""
    pid: int = 0
    exited: Exited | None = None

    def take(self, event: ExecEvent) -> None:
        match event:
            case Started():
                self.pid = event.pid
            case Output(stream=1):
                self.stdout += event.data
            case Output():
                self.stderr += event.data
            case Exited():
                self.exited = event


async def run(machine: LiveMachine, *argv: str, stdin: bytes = b"", timeout_ms: int = 0, **environment: str) -> Ran:
    return await ran(machine, Command(argv, environment=environment, timeout_ms=timeout_ms), stdin)


async def ran(machine: LiveMachine, command: Command, stdin: bytes = b"") -> Ran:
    process = await machine.exec(command)
    result = Ran()
    failure: AgentError | None = None
    async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as group:
        feeding = group.create_task(_feed(process.write, process.close_stdin, stdin))
        try:
            async for event in process:
                result.take(event)
        except AgentError as error:
            failure = error  # raised below, where no group wraps it
            feeding.cancel()
    await process.close()
    if failure is not None:
        raise failure
    return result


async def _feed(
    write: Callable[[bytes], Awaitable[None]], close_stdin: Callable[[], Awaitable[None]], data: bytes
) -> None:
    for start in range(0, len(data), 32 * 1024):
        await write(data[start : start + 32 * 1024])
    await close_stdin()


async def write(machine: LiveMachine, path: str, *chunks: bytes, mode: int = 0o644) -> int:
    return await machine.write_file(path, mode, iter_of(chunks))


async def read(machine: LiveMachine, path: str, offset_bytes: int = 0, limit_bytes: int = 0) -> bytes:
    reader = await machine.read_file(path, offset_bytes=offset_bytes, limit_bytes=limit_bytes)
    return b"".join([chunk async for chunk in reader.content])


@contextlib.contextmanager
def raises(*codes: Code) -> Iterator[None]:
    with pytest.raises(AgentError) as failure:
        yield
    assert failure.value.code in codes
    assert failure.value.message

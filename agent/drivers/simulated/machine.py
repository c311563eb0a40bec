"""A simulated machine that runs."""

import asyncio
import weakref
from collections.abc import AsyncIterator
from uuid import UUID

from agent.drivers.driver import Command, Death, FileReader, Process, ProcessIdentity
from agent.drivers.simulated.disk import Disk
from agent.drivers.simulated.faults import Faults
from agent.drivers.simulated.programs import SimulatedProcess, Surroundings
from agent.errors import AgentError, Code
from agent.machine import Spec

_FIRST_PID = 100


class SimulatedMachine:
    """See `LiveMachine`. It has no process, so its incarnation alone proves whose it is."""

    def __init__(self, spec: Spec, incarnation: UUID, disk: Disk, faults: Faults) -> None:
        self.spec = spec
        self.waits_for_room = False
        """To be set by tests."""
        self._incarnation = incarnation
        self._disk = disk
        self._faults = faults
        self._death: asyncio.Future[Death] = asyncio.get_running_loop().create_future()
        self._released = False
        self._processes: weakref.WeakSet[SimulatedProcess] = weakref.WeakSet()
        self._next_pid = _FIRST_PID

    @property
    def incarnation(self) -> UUID:
        """New each time it starts or resumes."""
        return self._incarnation

    @property
    def process(self) -> ProcessIdentity | None:
        """None: there is none."""
        return None

    @property
    def is_gone(self) -> bool:
        """Whether it died, was paused or was killed."""
        return self._released or self._death.done()

    async def died(self) -> Death:
        """Returns when it died."""
        return await asyncio.shield(self._death)

    async def ping(self) -> None:
        """Answers at once."""
        await self._strike("ping")

    async def exec(self, command: Command) -> Process:
        """See `programs`."""
        await self._strike("exec")
        environment = {"HOME": "/root", "PATH": "/usr/bin:/bin"} | self.spec.environment
        surroundings = Surroundings(self._disk, environment, lambda: self.is_gone)
        process = SimulatedProcess(command, self._next_pid, surroundings)
        self._next_pid += 1
        self._processes.add(process)
        return process

    async def write_file(self, path: str, mode: int, content: AsyncIterator[bytes]) -> int:
        """Writes to its disk."""
        self._require_here()
        return await self._disk.write(path, mode, self._while_here(content))

    async def read_file(self, path: str, *, offset_bytes: int = 0, limit_bytes: int = 0) -> FileReader:
        """Reads from its disk."""
        self._require_here()
        reader = self._disk.read(path, offset_bytes, limit_bytes)
        return FileReader(reader.info, self._while_here(reader.content))

    def die(self, death: Death) -> None:
        """Ends it as if from outside."""
        if not self.is_gone:
            self._death.set_result(death)
            self._notify()

    def release(self) -> None:
        """Ends it because it was asked for: nobody hears of a death."""
        self._released = True
        self._notify()

    async def _strike(self, point: str) -> None:
        self._require_here()
        if (death := await self._faults.strike(point)) is not None:
            self.die(death)
        self._require_here()

    async def _while_here(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in content:
            self._require_here()
            yield chunk

    def _require_here(self) -> None:
        if self.is_gone:
            raise AgentError(Code.MACHINE_GONE, "The sandbox's machine is gone.")

    def _notify(self) -> None:
        for process in self._processes:
            process.notice()

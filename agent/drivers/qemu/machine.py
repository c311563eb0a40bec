"""A machine that runs: what the agent sees of one QEMU and the guest in it."""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import structlog

from agent.drivers.driver import Command, Death, FileReader, Process, ProcessIdentity
from agent.drivers.qemu import ram, records, sockets
from agent.drivers.qemu.images import Image
from agent.drivers.qemu.launch import RUN, Running
from agent.drivers.qemu.monitor import MonitorError
from agent.drivers.qemu.ram import Base
from agent.errors import AgentError, Code
from agent.link.link import GuestLink, Identity
from agent.machine import Cause, Spec

ENTROPY_BYTES = 64
SIGNALLED = 128  # a shell's exit status of a program that a signal ended, less the signal
SIGKILL = 9
# How Linux says it, in mm/oom_kill.c; a process that is ended for want of memory is no such case.
OUT_OF_MEMORY = re.compile(r"Kernel panic - not syncing: (Out of memory|System is deadlocked on memory)")
INHERITED = "inherited"  # the file that says which pages those are
PING_SECONDS = 10.0  # to connect again to a guest after its connection was lost
log = structlog.get_logger()


class QemuMachine:
    """A `LiveMachine`. Only the driver makes, stops and ends it."""

    def __init__(
        self, folder: Path, image: Image, incarnation: UUID, running: Running, ram_base: Base = Base.IMAGE
    ) -> None:
        self.folder = folder
        self.image = image
        self.ram_base = ram_base
        self.inherited = ram.read_runs(folder / INHERITED)
        """Pages of a fork that are its parent's, though it maps them as if they were its image's."""
        self.running = running
        self.chain_settled = True
        """Whether the folder's note surely says what QEMU writes to; `overlays.settle_chain` sees to it."""
        self._incarnation = incarnation
        self._link: GuestLink | None = None
        self._linking = asyncio.Lock()
        self._asked_to_end = False
        self._still_since_ns: int | None = None
        self._behind_ns = 0
        """By how much its guest's clock is behind, as far as it has not been told."""
        self._death: asyncio.Future[Death] = asyncio.get_running_loop().create_future()

    @property
    def incarnation(self) -> UUID:
        """Which run of its sandbox this is."""
        return self._incarnation

    @property
    def process(self) -> ProcessIdentity:
        """QEMU's, for the ledger."""
        return self.running.process.identity

    async def link(self, deadline_seconds: float) -> GuestLink:
        """The connection to the guest, made again if it was lost.

        Raises: AgentError GUEST_UNRESPONSIVE, MACHINE_GONE.
        """
        async with self._linking:
            if self._link is not None:
                if not self._link.is_lost:
                    return self._link
                await self._close_link()
            try:
                connection = sockets.connect(self.folder / RUN, sockets.LINK)
            except BlockingIOError as error:
                raise AgentError(
                    Code.GUEST_UNRESPONSIVE, "The machine does not take a connection.", detail=str(error)
                ) from error
            except OSError as error:
                raise AgentError(Code.MACHINE_GONE, "The machine has ended.", detail=str(error)) from error
            self._link = await GuestLink.open(connection, deadline_seconds=deadline_seconds)
            self._tell_time()
            return self._link

    async def identify(self, spec: Spec, deadline_seconds: float) -> None:
        """Gives the guest who it is: two machines from one image share no random numbers, names or clocks after it.

        Raises: AgentError.
        """
        self.identify_later(spec, deadline_seconds)
        link = await self.link(deadline_seconds)
        await link.identify(
            Identity(
                sandbox_id=f"sb-{spec.sandbox_id}",
                hostname=hostname(spec.sandbox_id),
                machine_id=machine_id(spec.sandbox_id),
                environment=dict(spec.environment),
                entropy=secrets.token_bytes(ENTROPY_BYTES),
                unix_ns=time.time_ns(),
            )
        )
        self._behind_ns = 0  # it was told what time it is

    def identify_later(self, spec: Spec, deadline_seconds: float) -> None:
        """Does so again whenever the guest has stood still for want of room: its clock stood still too."""

        async def again() -> None:
            try:
                await self.identify(spec, deadline_seconds)
            except AgentError as error:
                log.warning("not_identified_again", sandbox_id=str(spec.sandbox_id), reason=error.message)

        self.running.room.at_end = again

    @property
    def waits_for_room(self) -> bool:
        """See `LiveMachine.waits_for_room`."""
        return self.running.room.is_awaited

    async def died(self) -> Death:
        """See `LiveMachine.died`. Never returns for a machine that the driver ended itself."""
        return await asyncio.shield(self._death)

    async def lay_to_rest(self) -> None:
        """Waits for its end, says why, and gives back what it held of the host. One task per machine does this."""
        await self.running.process.ended()
        if not self._asked_to_end:
            self._death.set_result(await self._cause())
            await self._close_link()
        await self.running.release()

    async def _cause(self) -> Death:
        status = await self.running.process.exit_status()
        words = self.running.process.words()[-500:]
        detail = f"exit status {'unknown (adopted)' if status is None else status}" + (f": {words}" if words else "")
        reason = self.running.monitor.shutdown_reason
        if self.out_of_memory():
            return Death(Cause.OUT_OF_MEMORY, f"QEMU was ended at its memory limit; {detail}")
        if OUT_OF_MEMORY.search(self.running.last_words):
            return Death(Cause.OUT_OF_MEMORY, "the guest's kernel stopped because its memory was full")
        if self.running.monitor.panicked or reason in {"guest-panic", "guest-reset"}:
            return Death(Cause.CRASHED, f"the guest's kernel stopped or restarted; {detail}")
        if reason == "guest-shutdown":
            return Death(Cause.CRASHED, f"the guest switched itself off; {detail}")
        if status in {None, SIGNALLED + SIGKILL}:
            return Death(Cause.KILLED, f"QEMU was killed; {detail}")
        return Death(Cause.CRASHED, f"QEMU ended by itself; {detail}")

    def out_of_memory(self) -> bool:
        """Whether the kernel ended a process of this machine at its memory limit."""
        return self.running.group is not None and self.running.group.out_of_memory_kills() > 0

    async def stand_still(self) -> None:
        """Stops its guest, and the guest's clock with it: nothing is on its way to it, requests wait, and nobody lets
        it go on because there is room. Until `go_on`, also after a failure. Raises: MonitorError: it runs, as far as
        QEMU says."""
        self.running.room.is_held = True
        if self._link is not None:
            await self._link.quiesce()
        # whatever was noted before: a QEMU that did not answer has let its guest go on at some time
        self._still_since_ns = time.monotonic_ns()
        try:
            await self.running.monitor.run("stop")
        except MonitorError:
            self._still_since_ns = None
            raise

    async def go_on(self) -> float:
        """Ends `stand_still` and has the guest set its clock forward by as long as that was; nobody waits for the
        guest. How many seconds it stood still. Raises: MonitorError: it stands still, and requests wait."""
        until_ns = time.monotonic_ns()
        await self.running.monitor.run("cont")
        still_ns = 0 if self._still_since_ns is None else until_ns - self._still_since_ns
        self._still_since_ns = None
        self._behind_ns += still_ns
        self.release()
        self._tell_time()
        return still_ns / 1e9

    def release(self) -> None:
        """Requests wait no longer: the guest goes on, or is gone."""
        self.running.room.is_held = False
        if self._link is not None:
            self._link.release()

    def _tell_time(self) -> None:
        """Where the guest cannot be told now, it is when it is connected to again, or stands still again."""
        if self._behind_ns and self._link is not None:
            with contextlib.suppress(AgentError):
                self._link.set_forward(self._behind_ns)
                self._behind_ns = 0

    async def hand_over(self, folder: Path, incarnation: UUID) -> None:
        """Gives a machine that stands still to a sandbox: its files under the sandbox's name, this run, and it goes on.
        It needs its identity then. The record goes first, so that whoever finds the folder knows whose it is.

        Raises: MonitorError, OSError.
        """
        record = records.read(self.folder)
        if record is None or not self.running.process.running:
            raise OSError(f"{self.folder}: the machine has ended")
        records.hand_over(self.folder, record, str(incarnation))
        self.folder.rename(folder)
        self.running.overlay = folder / self.running.overlay.name
        self.folder, self._incarnation = folder, incarnation
        if self.running.group is not None:
            self.running.group.come_forward()
        self._still_since_ns = None  # its identity says what time it is
        await self.go_on()

    async def end(self) -> None:
        """Ends it because the agent was told to; returns when it is gone and what it held is given back."""
        self._asked_to_end = True
        await self._close_link()
        await self.running.end()

    async def forget(self) -> None:
        """Lets go of a machine that runs on."""
        await self._close_link()
        await self.running.monitor.close()
        self.running.process.close()

    async def _close_link(self) -> None:
        if self._link is not None:
            with contextlib.suppress(AgentError):
                await self._link.close()
            self._link = None

    async def ping(self) -> None:
        """See `LiveMachine.ping`."""
        await (await self.link(PING_SECONDS)).ping()

    async def exec(self, command: Command) -> Process:
        """See `LiveMachine.exec`."""
        return await (await self.link(PING_SECONDS)).exec(command)

    async def write_file(self, path: str, mode: int, content: AsyncIterator[bytes]) -> int:
        """See `LiveMachine.write_file`."""
        return await (await self.link(PING_SECONDS)).write_file(path, mode, content)

    async def read_file(self, path: str, *, offset_bytes: int = 0, limit_bytes: int = 0) -> FileReader:
        """See `LiveMachine.read_file`."""
        link = await self.link(PING_SECONDS)
        return await link.read_file(path, offset_bytes=offset_bytes, limit_bytes=limit_bytes)


def hostname(sandbox_id: UUID) -> str:
    """Short enough for a prompt: the last 12 digits, the random ones of a UUIDv7."""
    return f"sb-{sandbox_id.hex[-12:]}"


def machine_id(sandbox_id: UUID) -> str:
    """32 hexadecimal digits as machine-id(5) wants them; of the sandbox, so that it stays across pauses."""
    return sha256(b"machine-id:" + sandbox_id.bytes).hexdigest()[:32]

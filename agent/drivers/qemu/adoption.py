"""Taking over machines that an earlier agent started. Whatever that agent had begun is finished
or undone."""

import asyncio
import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from agent.drivers.driver import ProcessIdentity
from agent.drivers.qemu import records, saved, sockets, streaming
from agent.drivers.qemu.cgroups import Groups
from agent.drivers.qemu.disks import OVERLAY, bound
from agent.drivers.qemu.growth import grow
from agent.drivers.qemu.images import Image, ImageStore
from agent.drivers.qemu.launch import RUN, Running
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.manifests import ManifestError
from agent.drivers.qemu.monitor import Monitor, MonitorError
from agent.drivers.qemu.overlays import settle_chain
from agent.drivers.qemu.process import QemuProcess
from agent.drivers.qemu.ram import Base
from agent.drivers.qemu.room import STANDS, Room
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.tasks import Tasks
from agent.drivers.qemu.uids import UserIds
from agent.errors import AgentError, Code
from agent.machine import Spec

CONNECT_SECONDS = 5.0
STOPPED = frozenset({"shutdown", "guest-panicked"})  # the guest has ended by itself
LOADING = frozenset({"inmigrate", "prelaunch", "postmigrate"})  # the guest has not run
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Adopter:
    """Finds machines again."""

    store: ImageStore
    groups: Groups
    uids: UserIds
    settings: QemuSettings
    tasks: Tasks

    async def adopt(
        self, spec: Spec, folder: Path, incarnation: UUID, noted: ProcessIdentity | None
    ) -> QemuMachine | None:
        """`noted` is what the ledger says of its process; the folder's record is what counts, if it does not differ.

        The machine, running; None if there is none: it ended, its pause was complete, or its guest never ran.

        Raises: AgentError MACHINE_GONE if it runs but cannot be controlled; it is left alone then.
        """
        record = records.read(folder)
        if record is None or record.incarnation != str(incarnation) or noted not in (None, record.identity):
            strays = await asyncio.to_thread(records.end_strays, folder)
            log.info("not_adopted", sandbox_id=str(spec.sandbox_id), reason="no record of it", strays_ended=strays)
            return None
        identity = record.identity
        if self._pause_is_complete(folder, incarnation):
            # The earlier agent ended between the pause and QEMU's end.
            await asyncio.to_thread(records.end_process, folder)
            return None
        process = QemuProcess.adopted(identity)
        if process is None:
            return None
        monitor = Monitor(str(incarnation))
        process.at_end(monitor.lost)
        try:
            image = self._image(record.image_id)
            await monitor.connect(sockets.connect(folder / RUN, sockets.QMP), CONNECT_SECONDS)
            status = await monitor.status()
        except (MonitorError, OSError, KeyError) as error:
            await monitor.close()
            ended = not process.running
            process.close()
            if ended:
                return None
            raise AgentError(
                Code.MACHINE_GONE, "The machine runs but cannot be controlled.", detail=repr(error)
            ) from error
        group = self.groups.group_of(identity.pid, record.group_name)
        overlay, room = _launched_with(identity.pid, folder), Room(monitor, str(incarnation))
        running = Running(process, monitor, group, self._uid(identity.pid), overlay, self.uids, room)
        running.follow(self.tasks)
        machine = QemuMachine(folder, image, incarnation, running, Base(record.ram_base))
        machine.chain_settled = False
        if status in STOPPED:
            # Its guest stopped while no agent looked: whoever adopts it hears of that as of any other death.
            monitor.shutdown_reason = "guest-reset"
            self.tasks.keep(running.bury(), "end of a guest")
            return machine
        if status in LOADING:
            await machine.end()
            return None
        await self._go_on(spec, machine, status)
        return machine

    async def _go_on(self, spec: Spec, machine: QemuMachine, status: str) -> None:
        """A pause that was not completed is undone; a start that was not, is. A guest that does not answer is
        adopted nevertheless; one that stands still because the disk is full is not asked before it goes on."""
        try:
            # an earlier agent may have been told another one, or have known none
            await self.settings.disk_rate.hold(machine.running.monitor)
        except MonitorError as error:
            log.warning("disk_rate_not_held", sandbox_id=str(spec.sandbox_id), reason=repr(error))
        stands = status == STANDS
        if stands:
            machine.identify_later(spec, self.settings.guest_timeout_seconds)
            machine.running.room.is_short(self.tasks)
        elif status != "running":
            with contextlib.suppress(MonitorError):
                await machine.running.monitor.run("cont")
        await asyncio.to_thread(saved.discard_pauses, machine.folder)
        with contextlib.suppress(OSError):  # where that takes a privilege that is lacking, those keep what they have
            # agents from before there was this limit set none
            bound(machine.process.pid, max(spec.disk_size_mb, machine.image.manifest.disk_size_mb))
        try:
            await streaming.end(machine.running.monitor)
            await settle_chain(machine)
        except (MonitorError, OSError, ValueError, TimeoutError) as error:
            log.warning("chain_not_settled", sandbox_id=str(spec.sandbox_id), reason=repr(error))
        if stands:
            return
        try:
            await machine.identify(spec, self.settings.guest_timeout_seconds)
            known_mb = machine.image.manifest.disk_size_mb
            await grow(machine, spec.disk_size_mb, known_mb, self.settings.grow_timeout_seconds)
        except AgentError as error:
            log.warning("adopted_without_answer", sandbox_id=str(spec.sandbox_id), reason=error.message)

    def _pause_is_complete(self, folder: Path, incarnation: UUID) -> bool:
        """And fits its disk: one that does not would not be resumed, and its QEMU has all that there is."""
        with contextlib.suppress(ManifestError, OSError, ValueError):
            return saved.fitting(folder)[1].incarnation == str(incarnation)
        return False

    def _image(self, content_id: str) -> Image:
        image = self.store.get(content_id)
        if image is None:
            raise KeyError(content_id)
        return image

    def _uid(self, pid: int) -> int | None:
        """The id that the machine runs under, if it is one of its own."""
        with contextlib.suppress(OSError):
            uid = Path(f"/proc/{pid}").stat().st_uid
            return uid if uid != os.geteuid() else None
        return None


def _launched_with(pid: int, folder: Path) -> Path:
    """The overlay that a QEMU began with, as its command line says."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        if match := re.search(rb"file\.filename=[^,\0]*/(overlay[^,/\0]*)", words):
            return folder / match[1].decode()
    return folder / OVERLAY

"""From a plan to a QEMU that answers: sockets, user id, control group, jail, control connection; all of it undone."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from agent.drivers.qemu import arguments, records, sockets
from agent.drivers.qemu.arguments import Boot, Disk, Handles
from agent.drivers.qemu.cgroups import Group, Groups, Limits
from agent.drivers.qemu.disks import overlay_bytes_max
from agent.drivers.qemu.jail import Jail, View
from agent.drivers.qemu.monitor import Monitor, MonitorError
from agent.drivers.qemu.process import QemuProcess
from agent.drivers.qemu.ram import Base
from agent.drivers.qemu.room import Room
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.spawn import Spawned, SpawnError, spawn
from agent.drivers.qemu.tasks import Tasks
from agent.drivers.qemu.uids import UserIds
from agent.errors import AgentError, Code

RUN = "run"  # the folder of a machine's sockets, closed to everybody else
KVM = Path("/dev/kvm")
GROUP_RETRY_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0)
T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start. `state_fd` is loaded later; with `boot` the machine boots at once instead."""

    name: str  # the incarnation: names the control group too, so it is unique among live machines
    image_id: str
    image_sha256: str
    folder: Path
    guest_arguments: Sequence[str]
    accelerator: str
    disk: Disk
    disk_size_mb: int
    ram_fd: int
    ram_bytes: int
    ram_shared: bool
    limits: Limits
    ram_base: Base = Base.IMAGE
    state_fd: int | None = None
    boot: Boot | None = None


@dataclass(slots=True)
class Running:
    """A QEMU that answers, and what it holds of the host."""

    process: QemuProcess
    monitor: Monitor
    group: Group | None
    uid: int | None
    overlay: Path
    uids: UserIds
    room: Room
    released: bool = False
    last_words: str = ""

    def follow(self, tasks: Tasks) -> None:
        """From now on QEMU is ended when its guest has stopped by itself, after its console was read; and a guest that
        QEMU stopped because the disk is full goes on when there is room."""
        self.monitor.at_shutdown = lambda: tasks.keep(self.bury(), "end of a guest")
        self.monitor.at_no_room = lambda: self.room.is_short(tasks)

    async def bury(self) -> None:
        """Ends a QEMU whose guest has stopped; `last_words` is what it said then."""
        self.last_words = await self.monitor.console()
        self.process.kill()

    async def release(self) -> None:
        """Gives everything back once the process has ended; waits for that. May be repeated, also at once."""
        await self.process.ended()
        await self.monitor.close()
        await self.process.exit_status()
        if self.released:
            return
        self.released = True
        if self.uid is not None:
            with contextlib.suppress(FileNotFoundError):
                os.chown(self.overlay, os.geteuid(), os.getegid())
            self.uids.give_back(self.uid)
        if self.group is not None:
            await _remove(self.group)
        self.process.close()

    async def end(self) -> None:
        """Ends it at once and gives everything back."""
        self.process.kill()
        await self.release()


async def _remove(group: Group) -> None:
    """An adopted QEMU is waited for by somebody else, a moment later."""
    for seconds in GROUP_RETRY_SECONDS:
        if group.remove():
            return
        await asyncio.sleep(seconds)
    if not group.remove():
        log.warning("cgroup_left", folders=[str(folder) for folder in group.folders])


class Launcher:
    """Starts machines the way this host can."""

    def __init__(self, jail: Jail, groups: Groups, uids: UserIds, settings: QemuSettings, tasks: Tasks) -> None:
        self._tasks = tasks
        self._jail = jail
        self._groups = groups
        self._uids = uids
        self._settings = settings

    async def launch(self, plan: Plan) -> Running:
        """Returns when QEMU has answered and its limits hold. Nothing is left after a failure or a cancellation.

        Raises: AgentError START_FAILED, NO_CAPACITY.
        """
        async with contextlib.AsyncExitStack() as undo:
            uid = None
            if self._jail.changes_user:
                uid = self._uids.take()
                undo.callback(self._uids.give_back, uid)
            group = self._make_group(plan)
            if group is not None:
                undo.callback(group.remove)
            connection, spawning = self._begin(plan, uid)
            undo.callback(connection.close)
            cancelled = await finished(spawning)
            process = QemuProcess.started(_spawned(spawning))
            monitor = Monitor(plan.name)
            running = Running(process, monitor, group, uid, plan.disk.overlay, self._uids, Room(monitor, plan.name))
            process.at_end(monitor.lost)
            running.follow(self._tasks)
            undo.push_async_callback(running.end)
            if cancelled is not None:
                raise cancelled
            records.write(
                plan.folder, plan.name, plan.image_id, plan.image_sha256, plan.ram_base, running.process.identity
            )
            await self._greet(running, connection, boots=plan.boot is not None)
            undo.pop_all()
            return running
        raise AssertionError("unreachable")

    def _begin(self, plan: Plan, uid: int | None) -> "tuple[socket.socket, asyncio.Future[Spawned]]":
        """Has QEMU started by a thread, and connects to where it will listen."""
        run = plan.folder / RUN
        run.mkdir(mode=0o700, exist_ok=True)
        qmp, link = sockets.listen(run, sockets.QMP), sockets.listen(run, sockets.LINK)
        words = arguments.full(
            plan.guest_arguments,
            arguments.host_arguments(
                accelerator=plan.accelerator,
                translation_buffer_mb=self._settings.translation_buffer_mb,
                ram_fd=plan.ram_fd,
                ram_bytes=plan.ram_bytes,
                ram_shared=plan.ram_shared,
                disk=plan.disk,
                handles=Handles(qmp.fileno(), link.fileno()),
            ),
            arguments.boot_arguments(plan.boot) if plan.boot else arguments.incoming_arguments(),
        )
        view = View(
            read_only=(*plan.disk.below, *((plan.boot.kernel, plan.boot.initrd) if plan.boot else ())),
            writable=(plan.disk.overlay,),
            devices=(KVM,) if plan.accelerator == "kvm" else (),
        )
        gid = KVM.stat().st_gid if plan.accelerator == "kvm" else None
        file_bytes_max = overlay_bytes_max(plan.disk_size_mb)
        descriptors = [plan.ram_fd, qmp.fileno(), link.fileno()]
        descriptors += [plan.state_fd] if plan.state_fd is not None else []

        def work() -> Spawned:
            with qmp, link:  # QEMU alone listens then: when it ends, whoever is connected sees it
                if uid is not None:
                    os.chown(plan.disk.overlay, uid, uid)
                return spawn(
                    lambda info_fd: self._jail.command(
                        words, uid=uid, gid=gid, view=view, info_fd=info_fd, file_bytes_max=file_bytes_max
                    ),
                    descriptors,
                )

        connection = sockets.connect(run, sockets.QMP)
        return connection, asyncio.get_running_loop().run_in_executor(None, work)

    async def _greet(self, running: Running, connection: socket.socket, *, boots: bool) -> None:
        """QEMU has answered, and its limits hold: no guest code has run by then, unless it boots."""
        try:
            async with asyncio.TaskGroup() as tasks:
                if running.group is not None:
                    tasks.create_task(asyncio.to_thread(running.group.add, running.process.identity.pid))
                tasks.create_task(self._connect(running.monitor, connection, boots=boots))
        except* (MonitorError, OSError) as errors:
            running.process.kill()
            status = await running.process.exit_status()
            detail = f"exit status {status}; {errors.exceptions!r}; {running.process.words()}"
            raise AgentError(Code.START_FAILED, "The machine could not be started.", detail=detail) from errors

    async def _connect(self, monitor: Monitor, connection: socket.socket, *, boots: bool) -> None:
        """One that does not boot is told how fast it may use its disk beside what it waits for (`Cloner`)."""
        await monitor.connect(connection)
        if boots:
            await self._settings.disk_rate.hold(monitor)

    def _make_group(self, plan: Plan) -> Group | None:
        if not self._groups.parents:
            return None  # said among the shortcomings
        try:
            return self._groups.make(plan.name, plan.limits)
        except OSError as error:
            detail = f"control group: {error}"
            raise AgentError(Code.START_FAILED, "The machine's limits could not be set.", detail=detail) from error


def _spawned(spawning: asyncio.Future[Spawned]) -> Spawned:
    try:
        return spawning.result()
    except (SpawnError, OSError) as error:
        raise AgentError(Code.START_FAILED, "The machine could not be started.", detail=str(error)) from error


async def finished(future: asyncio.Future[T]) -> asyncio.CancelledError | None:
    """Waits for work that cannot be stopped, also when cancelled; returns the cancellation, for the caller to raise
    when it has put things in order."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


async def settled(future: asyncio.Future[T]) -> T:
    """The result of work that cannot be stopped; a cancellation counts once it is done."""
    cancelled = await finished(future)
    if cancelled is not None:
        raise cancelled
    return future.result()

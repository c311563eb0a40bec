"""The driver itself: what the agent calls, put together from the other modules."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import structlog

from agent.drivers.driver import (
    QUARANTINE,
    DriverFacts,
    Isolation,
    Leftover,
    LiveMachine,
    NewTemplate,
    ProcessIdentity,
    ProgressMark,
    StageMark,
    TemplateImage,
)
from agent.drivers.qemu import accelerator, garbage, prerequisites, records, saved, templates, tsc
from agent.drivers.qemu.adoption import Adopter
from agent.drivers.qemu.boots import Booter
from agent.drivers.qemu.cgroups import find_groups
from agent.drivers.qemu.clones import Cloner, check_disk_size
from agent.drivers.qemu.disks import blocks_of
from agent.drivers.qemu.flattening import Flattener
from agent.drivers.qemu.freezing import Freezer
from agent.drivers.qemu.host import Host
from agent.drivers.qemu.images import Image, ImageStore
from agent.drivers.qemu.jail import find_jail
from agent.drivers.qemu.launch import Launcher, settled
from agent.drivers.qemu.layers import Layers
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.pausing import save
from agent.drivers.qemu.pool import Pool
from agent.drivers.qemu.proofs import Prover
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.shapes import BaseImages, Shapes
from agent.drivers.qemu.snapshots import Snapshots
from agent.drivers.qemu.standing import Standing, stands_on
from agent.drivers.qemu.tasks import Tasks
from agent.drivers.qemu.template import TemplateMaker
from agent.drivers.qemu.templates import Templates
from agent.drivers.qemu.uids import UserIds
from agent.errors import AgentError, Code
from agent.machine import Spec, TemplateType

DEFAULT_SHAPE = ("base", 1, 512)
"""Template, vCPUs and MiB of what most callers ask for; the pool keeps some of it from the beginning."""

STARTS_PER_CPU = 2
"""Clones that are started at once: more of them only wait for each other, and the first for the last."""


SEALED_LOOK_SECONDS = 30.0
log = structlog.get_logger()


class QemuDriver:
    """Runs sandboxes as jailed QEMU processes; see `agent.drivers.driver.Driver` for what each method promises."""

    name = "qemu"

    def __init__(self, settings: QemuSettings, base_images: BaseImages) -> None:
        """`base_images` gives the base image of a template by its name, building it if it must."""
        self._settings = settings
        self._base_images = base_images
        snapshots_dir = settings.data_dir / "snapshots"
        self._standing = Standing(settings.machines_dir, snapshots_dir, settings.data_dir / QUARANTINE)
        self._store = ImageStore(settings.images_dir, self._standing)
        self._snapshots = Snapshots(snapshots_dir, Layers(settings.data_dir / "layers"), self._standing)
        self._tasks = Tasks()
        self._prover = Prover(settings.data_dir, self._snapshots, self._tasks)
        self._freezer = Freezer(self._snapshots, self._prover)
        self._turns = asyncio.Semaphore(STARTS_PER_CPU * len(os.sched_getaffinity(0)))
        self._pool = Pool(settings.data_dir / "pool", self._store, settings.pool_max, self._default_image, self._tasks)
        self._starting: set[UUID] = set()
        self._machines: dict[UUID, QemuMachine] = {}
        self._host: Host | None = None

    @property
    def _ready(self) -> Host:
        if self._host is None:
            raise RuntimeError("the driver is not open")
        return self._host

    async def open(self) -> None:
        """Raises: AgentError INTERNAL with what is missing and how to mend it."""
        settings = self._settings
        missing = prerequisites.missing_programs()
        if missing:
            packages = " ".join(sorted(set(missing.values())))
            raise AgentError(
                Code.INTERNAL, f"Missing: {', '.join(sorted(missing))}. Mend: apt-get install -y {packages}"
            )
        for folder in (settings.data_dir, settings.images_dir, settings.machines_dir):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        # First of all: what an earlier agent's clones hold, user ids and groups, is free afterwards.
        await asyncio.to_thread(self._pool.open)
        jail = await asyncio.to_thread(find_jail, settings.qemu)
        try:
            version = await prerequisites.qemu_version(jail.qemu)
        except (OSError, ValueError) as error:
            raise AgentError(Code.INTERNAL, f"QEMU cannot be used: {error}.") from error
        verdict = await accelerator.choose(jail.qemu, version, settings.data_dir)
        owner = hashlib.sha256(str(settings.data_dir.resolve()).encode()).hexdigest()[:12]
        groups = find_groups(f"nestbox-{owner}")
        groups.sweep()
        uids = UserIds(settings.first_uid, settings.uid_count, owner)
        launcher = Launcher(jail, groups, uids, settings, self._tasks)
        self._host = Host(
            qemu_version=version,
            groups=groups,
            uids=uids,
            changes_user=jail.changes_user,
            raises_limits=jail.raises_limits,
            cloner=Cloner(settings, self._store, self._snapshots, self._prover, launcher, version),
            booter=Booter(settings, self._store, self._snapshots.layers, self._prover, launcher),
            shapes=Shapes(
                self._store,
                TemplateMaker(
                    self._store,
                    self._prover.sums,
                    launcher,
                    settings.data_dir,
                    settings.boot_timeout_seconds,
                    settings.boot_attempts,
                ),
                self._base_images,
                self._tasks,
                verdict=verdict,
                qemu_version=version,
                tsc_khz=await asyncio.to_thread(tsc.tsc_khz, settings.data_dir),
                settings=settings,
                standing=self._standing,
            ),
            templates=Templates(
                settings, self._store, self._snapshots, self._standing, self._prover, Flattener(jail, uids)
            ),
            adopter=Adopter(self._store, groups, uids, settings, self._tasks),
        )
        await asyncio.to_thread(self._store.open)
        await asyncio.to_thread(self._snapshots.open)

    async def close(self) -> None:
        """See `Driver.close`."""
        await self._pool.close()
        for machine in list(self._machines.values()):
            if not machine.running.process.running:
                await machine.running.release()
        self._prover.close()
        await self._tasks.close()
        for machine in self._machines.values():
            await machine.forget()
        self._machines.clear()
        self._store.close()
        self._snapshots.close()
        if self._host is not None:
            self._host.groups.close()

    async def facts(self) -> DriverFacts:
        """See `Driver.facts`."""
        host = self._ready
        hardware = host.verdict.accelerator == "kvm"
        return DriverFacts(
            driver=self.name,
            isolation=Isolation.HARDWARE if hardware else Isolation.EMULATED,
            accelerator=host.verdict.accelerator,
            qemu_version=host.qemu_version,
            images=tuple(image.listed() for image in self._store.all()),
            shortcomings=host.shortcomings(self._settings),
            pools=self._pool.facts(),
        )

    async def prepare(self, template_name: str, vcpus: int, memory_mb: int) -> TemplateImage:
        """See `Driver.prepare`."""
        return (await self._ready.shapes.image(template_name, vcpus, memory_mb)).listed()

    async def _image(self, spec: Spec) -> Image:
        """What a new sandbox begins as. Raises: AgentError, as `Driver.start`."""
        if spec.template_type is TemplateType.SNAPSHOT:
            return templates.image_of(self._store, spec, self._ready.qemu_version)
        return await self._ready.shapes.image(spec.template_name, spec.vcpus, spec.memory_mb)

    async def _default_image(self) -> Image:
        return await self._ready.shapes.image(*DEFAULT_SHAPE)

    async def start(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """See `Driver.start`."""
        with self._begun(spec):
            if spec.snapshot_id is None:
                return self._watched(spec, await self._start(spec, incarnation, stage))
            snapshot = await self._snapshots.load(spec.snapshot_id)
            await self._pool.make_room(spec.memory_mb)
            async with self._turns:
                return self._watched(spec, await self._ready.cloner.fork(spec, incarnation, snapshot, stage))

    async def _start(self, spec: Spec, incarnation: UUID, stage: StageMark) -> QemuMachine:
        """Of a template: a clone from the pool, or an ordinary one."""
        cloner, image = self._ready.cloner, await self._image(spec)
        check_disk_size(spec, image.manifest.disk_size_mb)
        warm = None
        # One from the pool was started for a disk of its template's size, and may write no more than that needs.
        if self._ready.raises_limits or spec.disk_size_mb == image.manifest.disk_size_mb:
            warm = await self._pool.take(image, spec, incarnation, self._folder(spec.sandbox_id))
        if warm is not None:
            try:
                return await cloner.settle_in(warm, spec, stage)
            except AgentError as error:
                log.warning("pool_clone_lost", sandbox_id=str(spec.sandbox_id), reason=error.message)
                told = stage  # the first stages were told: they were the pool's
                stage = lambda name: told(name) if name == "guest" else None  # noqa: E731
        await self._pool.make_room(spec.memory_mb)
        async with self._turns:
            return await cloner.start(spec, incarnation, image, stage)

    async def resume(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """See `Driver.resume`."""
        with self._begun(spec):
            await asyncio.to_thread(records.end_process, self._folder(spec.sandbox_id))
            await self._pool.make_room(spec.memory_mb)
            return self._watched(spec, await self._ready.cloner.resume(spec, incarnation, stage))

    async def boot(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """See `Driver.boot`."""
        with self._begun(spec):
            await self._pool.make_room(spec.memory_mb)
            return self._watched(spec, await self._ready.booter.boot(spec, incarnation, stage))

    @contextlib.contextmanager
    def _begun(self, spec: Spec) -> Iterator[None]:
        """While a machine of it is being started: nothing of it is garbage, and the pool is quiet."""
        self._starting.add(spec.sandbox_id)
        try:
            with self._pool.starting():
                yield
        finally:
            self._starting.discard(spec.sandbox_id)

    def _watched(self, spec: Spec, machine: QemuMachine) -> QemuMachine:
        self._machines[spec.sandbox_id] = machine
        self._tasks.keep(self._watch(spec.sandbox_id, machine), f"watch {spec.sandbox_id}")
        return machine

    async def _watch(self, sandbox_id: UUID, machine: QemuMachine) -> None:
        await machine.lay_to_rest()
        if self._machines.get(sandbox_id) is machine:
            del self._machines[sandbox_id]

    async def pause(self, spec: Spec, machine: LiveMachine, stage: StageMark) -> None:
        """See `Driver.pause`."""
        await settled(self._tasks.start(self._pause(spec, _ours(machine), stage), f"pause {spec.sandbox_id}"))

    async def _pause(self, spec: Spec, machine: QemuMachine, stage: StageMark) -> None:
        # Its own: QEMU may have been upgraded since it was started.
        version = machine.running.monitor.qemu_version or self._ready.qemu_version
        await save(spec, machine, version, self._settings.save_timeout_seconds, stage)
        await machine.end()
        stage("release")

    async def is_paused(self, sandbox_id: UUID) -> bool:
        """See `Driver.is_paused`."""
        return await asyncio.to_thread(saved.is_complete, self._folder(sandbox_id))

    async def kill(self, machine: LiveMachine) -> None:
        """See `Driver.kill`."""
        await settled(self._tasks.start(_ours(machine).end(), "kill"))

    async def adopt(self, spec: Spec, incarnation: UUID, process: ProcessIdentity | None) -> LiveMachine | None:
        """See `Driver.adopt`."""
        machine = await self._ready.adopter.adopt(spec, self._folder(spec.sandbox_id), incarnation, process)
        return None if machine is None else self._watched(spec, machine)

    async def remove(self, sandbox_id: UUID) -> None:
        """See `Driver.remove`."""
        folder = self._folder(sandbox_id)
        if (machine := self._machines.get(sandbox_id)) is not None:
            await machine.end()
        await asyncio.to_thread(records.end_process, folder)
        await asyncio.to_thread(records.end_strays, folder)
        await self._snapshots.remove(folder)

    async def snapshot(
        self, spec: Spec, machine: LiveMachine | None, snapshot_id: UUID, stage: StageMark, children: int = 0
    ) -> None:
        """See `Driver.snapshot`."""
        self._snapshots.expect(snapshot_id, children)
        if machine is None:
            work = self._freezer.keep_paused(spec, self._folder(spec.sandbox_id), snapshot_id, stage)
        else:
            seconds = self._settings.save_timeout_seconds
            work = self._freezer.keep_running(spec, _ours(machine), snapshot_id, seconds, stage)
        await settled(self._tasks.start(work, f"snapshot {snapshot_id}"))

    async def has_snapshot(self, snapshot_id: UUID) -> bool:
        """See `Driver.has_snapshot`."""
        return await asyncio.to_thread(self._snapshots.has, snapshot_id)

    async def drop_snapshot(self, snapshot_id: UUID) -> None:
        """See `Driver.drop_snapshot`."""
        await self._snapshots.drop(snapshot_id)

    async def make_template(self, snapshot_id: UUID, template: NewTemplate, progress: ProgressMark) -> TemplateImage:
        """See `Driver.make_template`."""
        return (await self._ready.templates.make(await self._snapshots.load(snapshot_id), template, progress)).listed()

    async def remove_template(self, template_id: UUID) -> None:
        """See `Driver.remove_template`."""
        await self._pool.remove(templates.content_id(template_id))
        await self._ready.templates.remove(template_id)

    async def stored_bytes(self, sandbox_id: UUID) -> int:
        """See `Driver.stored_bytes`."""
        return await asyncio.to_thread(self._stored_bytes, self._folder(sandbox_id))

    def _stored_bytes(self, folder: Path) -> int:
        own = (self._snapshots.layers.path(name) for name in stands_on(folder).layers)
        return blocks_of(folder) + sum(map(blocks_of, own))

    async def tend(self) -> None:
        """See `Driver.tend`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pool.tend(self._ready.cloner))
            group.create_task(self._let_go_of_memory())

    async def _let_go_of_memory(self) -> None:
        """Of images that nobody uses any more."""
        while True:
            await asyncio.sleep(SEALED_LOOK_SECONDS)
            running = {machine.image.manifest.content_id for machine in self._machines.values()}
            if count := self._store.let_go(running | self._pool.images()):
                log.info("memory_let_go", images=count)

    def reclaimable_mb(self) -> int:
        """See `Driver.reclaimable_mb`."""
        return self._pool.reclaimable_mb()

    async def garbage(self, sandboxes: frozenset[UUID], snapshots: frozenset[UUID]) -> tuple[Leftover, ...]:
        """See `Driver.garbage`."""
        known = sandboxes | self._machines.keys() | self._starting
        return await asyncio.to_thread(self._garbage, known, snapshots)

    def _garbage(self, known: frozenset[UUID], snapshots: frozenset[UUID]) -> tuple[Leftover, ...]:
        machines_dir = self._settings.machines_dir
        return (
            *garbage.of_machines(machines_dir, known),
            *self._snapshots.leftovers(snapshots),
            *garbage.of_images(self._store, self._standing),
            *garbage.of_layers(self._snapshots.layers, self._standing),
            *garbage.of_bases(self._ready.shapes.unneeded()),
            *self._pool.leftovers(),
        )

    async def leftovers(self) -> frozenset[UUID]:
        """See `Driver.leftovers`."""
        found = set()
        for entry in self._settings.machines_dir.iterdir():
            with contextlib.suppress(ValueError):
                found.add(UUID(entry.name))
        return frozenset(found)

    def _folder(self, sandbox_id: UUID) -> Path:
        return self._settings.machines_dir / str(sandbox_id)


def _ours(machine: LiveMachine) -> QemuMachine:
    if not isinstance(machine, QemuMachine):
        raise TypeError(f"{machine!r} is another driver's")
    return machine

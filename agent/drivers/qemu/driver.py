"""The driver itself: what the agent calls, put together from the other modules."""

import asyncio
import contextlib
import hashlib
import shutil
from pathlib import Path
from uuid import UUID

from agent.drivers.driver import (
    DriverFacts,
    Isolation,
    LiveMachine,
    ProcessIdentity,
    StageMark,
    TemplateImage,
)
from agent.drivers.qemu import accelerator, prerequisites, records, saved, tsc
from agent.drivers.qemu.adoption import Adopter
from agent.drivers.qemu.boots import Booter
from agent.drivers.qemu.cgroups import find_groups
from agent.drivers.qemu.clones import Cloner
from agent.drivers.qemu.host import Host
from agent.drivers.qemu.images import Image, ImageStore
from agent.drivers.qemu.jail import find_jail
from agent.drivers.qemu.launch import Launcher, settled
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.pausing import save
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.shapes import BaseImages, Shapes
from agent.drivers.qemu.tasks import Tasks
from agent.drivers.qemu.template import TemplateMaker
from agent.drivers.qemu.uids import UserIds
from agent.errors import AgentError, Code
from agent.machine import Spec


class QemuDriver:
    """Runs sandboxes as jailed QEMU processes; see `agent.drivers.driver.Driver` for what each method promises."""

    name = "qemu"

    def __init__(self, settings: QemuSettings, base_images: BaseImages) -> None:
        """`base_images` gives the base image of a template by its name, building it if it must."""
        self._settings = settings
        self._base_images = base_images
        self._store = ImageStore(settings.images_dir)
        self._tasks = Tasks()
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
        jail = find_jail(settings.qemu)
        try:
            version = await prerequisites.qemu_version(jail.qemu)
        except (OSError, ValueError) as error:
            raise AgentError(Code.INTERNAL, f"QEMU cannot be used: {error}.") from error
        verdict = await accelerator.choose(jail.qemu, version, settings.data_dir)
        owner = hashlib.sha256(str(settings.data_dir.resolve()).encode()).hexdigest()[:12]
        groups = find_groups(f"nestbox-{owner}")
        groups.sweep()
        uids = UserIds(settings.first_uid, settings.uid_count, owner)
        launcher = Launcher(jail, groups, uids, settings.translation_buffer_mb, self._tasks)
        self._host = Host(
            qemu_version=version,
            groups=groups,
            uids=uids,
            changes_user=jail.changes_user,
            cloner=Cloner(settings, self._store, launcher, version),
            booter=Booter(settings, self._store, launcher),
            shapes=Shapes(
                self._store,
                TemplateMaker(
                    self._store, launcher, settings.data_dir, settings.boot_timeout_seconds, settings.boot_attempts
                ),
                self._base_images,
                self._tasks,
                verdict=verdict,
                qemu_version=version,
                tsc_khz=await asyncio.to_thread(tsc.tsc_khz, settings.data_dir),
                data_dir=settings.data_dir,
            ),
            adopter=Adopter(
                self._store, groups, uids, settings.guest_timeout_seconds, settings.grow_timeout_seconds, self._tasks
            ),
        )
        await asyncio.to_thread(self._store.open)

    async def close(self) -> None:
        """See `Driver.close`."""
        for machine in list(self._machines.values()):
            if not machine.running.process.running:
                await machine.running.release()
        await self._tasks.close()
        for machine in self._machines.values():
            await machine.forget()
        self._machines.clear()
        self._store.close()
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
        )

    async def prepare(self, template_name: str, vcpus: int, memory_mb: int) -> TemplateImage:
        """See `Driver.prepare`."""
        return (await self._ready.shapes.image(template_name, vcpus, memory_mb)).listed()

    async def _image(self, spec: Spec) -> Image:
        """What a new sandbox begins as. Raises: AgentError, as `Driver.start`."""
        # Templates of type SNAPSHOT are known by their id and have one shape: they are looked up in the store here.
        return await self._ready.shapes.image(spec.template_name, spec.vcpus, spec.memory_mb)

    async def start(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """See `Driver.start`."""
        image = await self._image(spec)
        return self._watched(spec, await self._ready.cloner.start(spec, incarnation, image, stage))

    async def resume(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """See `Driver.resume`."""
        await asyncio.to_thread(records.end_process, self._folder(spec.sandbox_id))
        return self._watched(spec, await self._ready.cloner.resume(spec, incarnation, stage))

    async def boot(self, spec: Spec, incarnation: UUID, stage: StageMark) -> LiveMachine:
        """See `Driver.boot`."""
        return self._watched(spec, await self._ready.booter.boot(spec, incarnation, stage))

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
        await save(spec, machine, self._ready.qemu_version, self._settings.save_timeout_seconds, stage)
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
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

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

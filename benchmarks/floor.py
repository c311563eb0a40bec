"""The least that the steps can cost here: bare QEMU, and the first answer of its guest."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from agent.drivers.driver import Command, Exited
from agent.link.link import GuestLink, Identity
from benchmarks.bare import BareMachine, Image, overlay
from benchmarks.guest_memory import Pages, dirty_bytes

BOOT_DEADLINE_SECONDS = 60
BOOT_ATTEMPTS = 3
"""Under emulation a cold boot hangs now and then."""
ANSWER_DEADLINE_SECONDS = 20


@dataclass(slots=True)
class Bare:
    """A machine and the link to its guest."""

    machine: BareMachine
    link: GuestLink


@dataclass(frozen=True, slots=True)
class Paused:
    """What a pause left, and how long the flush to disk took that came after it."""

    name: str
    pages: Pages
    sync_milliseconds: float


class Floor:
    """Machines on bare QEMU, all clones of one template. Files lie in `directory`."""

    def __init__(self, image: Image, directory: Path) -> None:
        self._image = image
        self._directory = directory
        self._machines: list[BareMachine] = []

    async def prepare(self) -> None:
        """Boots the template and saves its memory image. Raises: TimeoutError if the guest never comes up."""
        for attempt in range(1, BOOT_ATTEMPTS + 1):
            with (self._directory / "ram").open("wb") as ram:
                ram.truncate(self._image.memory_bytes)
            overlay(self._directory / "template.qcow2", self._image.disk, "raw")
            machine = self._machine("template", share=True, incoming=False)
            try:
                link = await GuestLink.open(machine.connect(), deadline_seconds=BOOT_DEADLINE_SECONDS)
            except Exception:
                machine.kill()
                if attempt == BOOT_ATTEMPTS:
                    raise
            else:
                await link.quiesce()
                await link.close()
                machine.save_template()
                machine.quit()
                return

    async def clone(self, name: str) -> Bare:
        """A new machine from the template, with its identity set."""
        return await self._go(self._loaded(name))

    async def clones(self, name: str, count: int) -> list[Bare]:
        """So many at once, of which two for each core are under way."""
        turn = asyncio.Semaphore(2 * (os.cpu_count() or 1))

        async def one(number: int) -> Bare:
            async with turn:
                return await self._go(await asyncio.to_thread(self._loaded, f"{name}-{number}"))

        return list(await asyncio.gather(*(one(number) for number in range(count))))

    def _loaded(self, name: str) -> BareMachine:
        overlay(self._directory / f"{name}.qcow2", self._directory / "template.qcow2", "qcow2")
        machine = self._machine(name, share=False, incoming=True)
        machine.load(self._directory / "template.state", ignore_shared=True)
        return machine

    async def pause(self, name: str, bare: Bare) -> Paused:
        """Memory and device state to disk, QEMU gone."""
        await bare.link.quiesce()
        await bare.link.close()
        pages = bare.machine.pause()
        start = time.perf_counter()
        bare.machine.sync()
        return Paused(name, pages, (time.perf_counter() - start) * 1000)

    async def resume(self, paused: Paused) -> Bare:
        """A machine from what a pause left, with its identity set."""
        machine = self._machine(paused.name, share=False, incoming=True, device_only=True)
        machine.restore(paused.pages)
        machine.load(self._directory / f"{paused.name}.state", ignore_shared=False)
        return await self._go(machine)

    async def stand_still(self, bare: Bare) -> None:
        """Stops a machine that has run: it is warm now, and waits."""
        await bare.link.quiesce()
        bare.machine.qmp.execute("stop")

    async def go_on(self, bare: Bare) -> None:
        """Lets a warm machine run again, as it was: no identity."""
        bare.machine.qmp.execute("cont")
        bare.link.release()

    async def run(self, bare: Bare, *argv: str) -> None:
        """Runs a program in the guest. Raises: RuntimeError if it fails."""
        process = await bare.link.exec(Command(argv))
        async for event in process:
            if isinstance(event, Exited) and event.exit_code != 0:
                raise RuntimeError(f"{argv} exited with {event.exit_code}")

    def dirty_mebibytes(self, bare: Bare) -> float:
        """How much of its RAM the guest has written, in MiB."""
        return dirty_bytes(bare.machine.pid, self._image.memory_bytes) / (1 << 20)

    async def end(self, bare: Bare) -> None:
        """Ends a machine."""
        await bare.link.close()
        bare.machine.kill()

    def close(self) -> None:
        """Ends whatever still runs."""
        for machine in self._machines:
            machine.kill()

    def _machine(self, name: str, *, share: bool, incoming: bool, device_only: bool = False) -> BareMachine:
        machine = BareMachine(
            self._image, self._directory, name, share=share, incoming=incoming, device_only=device_only
        )
        self._machines.append(machine)
        return machine

    async def _go(self, machine: BareMachine) -> Bare:
        machine.qmp.execute("cont")
        link = await GuestLink.open(machine.connect(), deadline_seconds=ANSWER_DEADLINE_SECONDS)
        sandbox_id = uuid4()
        await link.identify(
            Identity(
                sandbox_id=f"sb-{sandbox_id}",
                hostname="floor",
                machine_id=sandbox_id.hex,
                environment={},
                entropy=os.urandom(64),
                unix_ns=time.time_ns(),
            )
        )
        return Bare(machine, link)

"""A data directory with a memory image in it, and drivers on it."""

import contextlib
import dataclasses
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from agent.drivers.driver import Command, Exited, LiveMachine, Output
from agent.drivers.qemu import QemuDriver, QemuSettings, manifests
from agent.drivers.qemu.machine import QemuMachine
from agent.errors import AgentError, Code
from agent.images import BaseImage, Resolver, UnknownTemplate
from agent.machine import Spec
from tests import memory_images

NO_STAGES = lambda _: None  # noqa: E731


def new_spec(**environment: str) -> Spec:
    """A sandbox of the default shape."""
    return Spec(uuid4(), UUID(int=1), "base", 1, 512, 5120, environment)


def spec_of(template_name: str) -> Spec:
    """The same of another base template."""
    return dataclasses.replace(new_spec(), template_name=template_name)


class Laboratory:
    """Shared by the tests of a run. Begins with memory images that were made before, if it is given any."""

    def __init__(self, cache_dir: Path, images: Path | None = None) -> None:
        # Not below pytest's folders, which are closed to the users that machines run as.
        self.data_dir = Path(tempfile.mkdtemp(prefix="nestbox-test-", dir="/var/tmp"))
        self.data_dir.chmod(0o711)
        self.settings = QemuSettings(data_dir=self.data_dir, cache_dir=cache_dir, pool_max=0)
        if images is not None:
            memory_images.take(images, self.settings.images_dir)
        self._resolver = Resolver(cache_dir, self.data_dir, lambda _: None)

    async def base_image(self, name: str = "base") -> BaseImage:
        try:
            return await self._resolver(name)
        except UnknownTemplate as error:
            raise AgentError(Code.UNKNOWN_TEMPLATE, str(error)) from error

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[QemuDriver]:
        """A second driver, opened and closed again; the first is closed."""
        driver = self.second()
        await driver.open()
        try:
            yield driver
        finally:
            await driver.close()

    @contextlib.asynccontextmanager
    async def next_life(self) -> AsyncIterator[QemuDriver]:
        """The same. Sandboxes that are there afterwards are removed."""
        async with self.opened() as driver:
            try:
                yield driver
            finally:
                for sandbox_id in await driver.leftovers():
                    await driver.remove(sandbox_id)

    @contextlib.asynccontextmanager
    async def driver(self) -> AsyncIterator[QemuDriver]:
        """An open driver with its image; machines that it leaves behind are ended by pid."""
        driver = QemuDriver(self.settings, self.base_image)
        await driver.open()
        try:
            await driver.prepare("base", 1, 512)
            yield driver
        finally:
            for sandbox_id in await driver.leftovers():
                await driver.remove(sandbox_id)
            await driver.close()
            self.tidy()

    def tidy(self) -> None:
        """Removes what tests kept beside the image of the base template; all drivers are closed, all sandboxes gone."""
        for folder in ("snapshots", "layers"):
            shutil.rmtree(self.data_dir / folder, ignore_errors=True)
        for image in self.settings.images_dir.iterdir():
            if manifests.read_image(image).template_name != "base":
                shutil.rmtree(image)

    def second(self, **settings: Any) -> QemuDriver:
        """Another driver on the same data, as after a restart of the agent; the caller opens and closes it."""
        return QemuDriver(dataclasses.replace(self.settings, **settings), self.base_image)

    def folder(self, spec: Spec) -> Path:
        """The files of a sandbox."""
        return self.settings.machines_dir / str(spec.sandbox_id)

    def remove(self) -> None:
        """At the end of the run."""
        shutil.rmtree(self.data_dir)


async def start(driver: QemuDriver, spec: Spec) -> QemuMachine:
    """A running machine."""
    return qemu_machine(await driver.start(spec, uuid4(), NO_STAGES))


async def resume(driver: QemuDriver, spec: Spec) -> QemuMachine:
    """The same, from its pause."""
    return qemu_machine(await driver.resume(spec, uuid4(), NO_STAGES))


def qemu_machine(machine: LiveMachine) -> QemuMachine:
    """For what only the tests of this driver may see."""
    assert isinstance(machine, QemuMachine)
    return machine


async def run(machine: LiveMachine, *argv: str) -> str:
    """What a command prints; it must succeed."""
    printed = b""
    process = await machine.exec(Command(argv))
    async for event in process:
        if isinstance(event, Output):
            printed += event.data
        if isinstance(event, Exited):
            assert event.exit_code == 0, printed.decode()
    return printed.decode().strip()


async def shell(machine: LiveMachine, line: str) -> str:
    """The same for a shell line."""
    return await run(machine, "sh", "-c", line)


@contextlib.contextmanager
def flipped_bit(path: Path) -> Iterator[None]:
    """Damage to a file, undone afterwards; its time of change stays."""
    original = path.read_bytes()
    status = path.stat()
    damaged = bytearray(original)
    damaged[secrets.randbelow(len(damaged))] ^= 1
    path.write_bytes(damaged)
    yield
    path.write_bytes(original)
    assert path.stat().st_size == status.st_size


@contextlib.contextmanager
def flipped_bit_of_disk(path: Path) -> Iterator[None]:
    """The same for a sparse file that nobody writes to: somewhere in what it holds."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    fd = os.open(path, os.O_RDWR)
    try:
        # qcow2 keeps its tables in front, so this is a guest's block
        place = os.lseek(fd, path.stat().st_blocks * 512 // 2, os.SEEK_DATA)
        original = os.pread(fd, 1, place)
        os.pwrite(fd, bytes([original[0] ^ 1]), place)
        yield
        os.pwrite(fd, original, place)
    finally:
        os.close(fd)
        path.chmod(mode)

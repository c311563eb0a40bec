"""A QEMU that is none: it answers as one does, its guest's RAM is mapped by this process, and no guest runs in it. For
what the agent does while a machine stands still, in whatever order a test wants it."""

import contextlib
import inspect
import mmap
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from agent.drivers.driver import ProcessIdentity
from agent.drivers.qemu import disks, ram
from agent.drivers.qemu.arguments import DISK_NODE
from agent.drivers.qemu.disks import OVERLAY
from agent.drivers.qemu.freezing import Freezer
from agent.drivers.qemu.images import Image
from agent.drivers.qemu.launch import Running
from agent.drivers.qemu.layers import Layers
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.manifests import FileSum, ImageManifest
from agent.drivers.qemu.monitor import Monitor
from agent.drivers.qemu.proofs import Prover
from agent.drivers.qemu.ram import Base
from agent.drivers.qemu.room import Room
from agent.drivers.qemu.snapshots import Snapshots
from agent.drivers.qemu.standing import Standing
from agent.drivers.qemu.tasks import Tasks
from agent.errors import AgentError, Code
from agent.link.link import GuestLink
from agent.machine import Spec
from tests.agent.drivers.qemu.laboratory import new_spec

RAM_BYTES = 64 << 20
STATE = b"of its devices"
Hook = Callable[[], Awaitable[None] | None]


@dataclass
class Qemu:
    """Its monitor, its process and what was said to it. `before` is called when a command comes, and may raise."""

    overlay: Path
    said: list[str] = field(default_factory=list)
    before: dict[str, Hook] = field(default_factory=dict)
    node: str = DISK_NODE
    runs: bool = True
    qemu_version: str = "7.2.22"
    identity: ProcessIdentity = field(default_factory=lambda: ProcessIdentity(os.getpid(), 1))
    running: bool = True
    descriptor: int = -1

    def __post_init__(self) -> None:
        self.room = Room(cast("Monitor", self), "test")

    @property
    def monitor(self) -> "Qemu":
        return self

    @property
    def process(self) -> "Qemu":
        return self

    async def ended(self) -> None:
        return

    async def send_descriptor(self, fd: int, number: int | None = None) -> int:
        self.descriptor = fd
        return number or 1

    async def forget_descriptor(self, number: int) -> None:
        del number

    async def run(self, command: str, /, **arguments: Any) -> Any:
        self.said.append(command)
        if (hook := self.before.get(command)) is not None and inspect.isawaitable(waiting := hook()):
            await waiting
        match command:
            case "stop" | "cont":
                self.runs = command == "cont"
            case "query-status":
                return {"status": "running" if self.runs else "paused"}
            case "query-block":
                return [{"qdev": "vda", "inserted": {"node-name": self.node}}]
            case "blockdev-snapshot":
                self.node = arguments["overlay"]
            case "xen-save-devices-state":
                os.write(self.descriptor, STATE)
        return None


@dataclass
class Link:
    """Of a guest that is told by how much its clock is behind."""

    told_ns: list[int] = field(default_factory=list)
    quiet: bool = False
    is_lost: bool = False

    async def quiesce(self) -> None:
        self.quiet = True

    def release(self) -> None:
        self.quiet = False

    def set_forward(self, nanoseconds: int) -> None:
        if self.is_lost:
            raise AgentError(Code.MACHINE_GONE, "The connection to the guest was closed.")
        self.told_ns.append(nanoseconds)


@dataclass
class Host:
    """The folders of a host, with one machine on it."""

    spec: Spec
    qemu: Qemu
    machine: QemuMachine
    snapshots: Snapshots
    freezer: Freezer
    memory: mmap.mmap
    link: Link

    @property
    def layers(self) -> list[str]:
        """The names of all layers there are."""
        return sorted(path.name for path in self.snapshots.layers.path("x").parent.iterdir())

    @property
    def kept(self) -> list[str]:
        """The names of all snapshots, and of what is left of any."""
        return sorted(path.name for path in self.snapshots.folder.iterdir())

    @property
    def files(self) -> list[str]:
        """The names of the machine's own files."""
        return sorted(path.name for path in self.machine.folder.iterdir())


@contextlib.contextmanager
def standing_still(data_dir: Path, base: Base = Base.IMAGE) -> Iterator[Host]:
    """A host whose machine has written nothing to its memory. The loop must run."""
    spec = new_spec()
    folder = data_dir / "machines" / str(spec.sandbox_id)
    folder.mkdir(parents=True)
    disks.make_overlay(folder / OVERLAY, spec.disk_size_mb)
    standing = Standing(folder.parent, data_dir / "snapshots", data_dir / "quarantine")
    snapshots = Snapshots(data_dir / "snapshots", Layers(data_dir / "layers"), standing)
    snapshots.open()
    qemu, tasks = Qemu(folder / OVERLAY), Tasks()
    image = Image(data_dir, _manifest(spec))
    machine = QemuMachine(folder, image, uuid4(), cast("Running", qemu), base)
    link = Link()
    machine._link = cast("GuestLink", link)
    prover = Prover(data_dir, snapshots, tasks)
    fd = os.open(ram.EMPTY, os.O_RDWR) if base is Base.EMPTY else ram.new_ram(RAM_BYTES)
    with mmap.mmap(fd, RAM_BYTES, mmap.MAP_PRIVATE) as memory:
        os.close(fd)
        try:
            yield Host(spec, qemu, machine, snapshots, Freezer(snapshots, prover), memory, link)
        finally:
            prover.close()
            snapshots.close()


def _manifest(spec: Spec) -> ImageManifest:
    return ImageManifest(
        content_id="image",
        template_name=spec.template_name,
        vcpus=spec.vcpus,
        memory_mb=RAM_BYTES >> 20,
        disk_size_mb=spec.disk_size_mb,
        accelerator="tcg",
        qemu_version=Qemu.qemu_version,
        cpu="max",
        tsc_khz=1,
        kernel_arguments="",
        arguments=(),
        base_content_id="base",
        disks=(),
        state=FileSum(0, ""),
        ram_bytes=RAM_BYTES,
    )

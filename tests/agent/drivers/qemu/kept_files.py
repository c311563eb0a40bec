"""The files of images, sandboxes and snapshots as agents write them, without a machine, and what reads them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from agent.drivers.driver import QUARANTINE, ProcessIdentity
from agent.drivers.qemu import disks, garbage, layers, manifests, ram, records, saved
from agent.drivers.qemu.boots import Booter
from agent.drivers.qemu.cgroups import Groups
from agent.drivers.qemu.clones import Cloner
from agent.drivers.qemu.flattening import Flattener
from agent.drivers.qemu.images import DISK, RAM, STATE, ImageStore
from agent.drivers.qemu.jail import Jail
from agent.drivers.qemu.launch import Launcher, Plan, Running
from agent.drivers.qemu.layers import Chain, Layers
from agent.drivers.qemu.manifests import ImageManifest, PauseManifest, SnapshotManifest, sum_of_file
from agent.drivers.qemu.proofs import Prover
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.snapshots import Snapshots
from agent.drivers.qemu.standing import Standing
from agent.drivers.qemu.sums import sum_of
from agent.drivers.qemu.tasks import Tasks
from agent.drivers.qemu.templates import Templates
from agent.drivers.qemu.uids import UserIds
from agent.errors import AgentError, Code
from agent.machine import Spec

VERSION = "7.2"
RAM_BYTES = 1 << 20
LAUNCHED = "This far and no farther: nothing is launched in these tests."


class Refusing(Launcher):
    """Remembers what it was to launch."""

    plan: Plan | None = None

    async def launch(self, plan: Plan) -> Running:
        self.plan = plan
        raise AgentError(Code.START_FAILED, LAUNCHED)


def nothing(_: object) -> None:
    """For those who do not ask."""


@contextmanager
def refused(code: Code) -> Iterator[None]:
    """By what was looked at before anything was launched."""
    with pytest.raises(AgentError) as refusal:
        yield
    assert refusal.value.code is code
    assert refusal.value.message != LAUNCHED


@contextmanager
def launched() -> Iterator[None]:
    """Nothing was in the way of it."""
    with pytest.raises(AgentError, match=LAUNCHED):
        yield


class KeptFiles:
    """A data directory, and what a driver has in it. Sandboxes are of one image each."""

    def __init__(self, data_dir: Path) -> None:
        self.settings = QemuSettings(data_dir=data_dir, cache_dir=data_dir / "cache", boot_attempts=1)
        self.data_dir = data_dir
        self.quarantine = data_dir / QUARANTINE
        self.settings.machines_dir.mkdir()
        self.open()

    def open(self) -> None:
        """As an agent that has just started."""
        snapshots_dir = self.data_dir / "snapshots"
        self.standing = Standing(self.settings.machines_dir, snapshots_dir, self.quarantine)
        self.store = ImageStore(self.settings.images_dir, self.standing)
        self.snapshots = Snapshots(snapshots_dir, Layers(self.data_dir / "layers"), self.standing)
        self.store.open()
        self.snapshots.open()
        nothing = Path("/nonexistent")
        jail = Jail(nothing, nothing, nothing, nothing, None, (), (), raises_limits=False)
        uids, tasks = UserIds(200_000, 10, "tests"), Tasks()
        self.launcher = Refusing(jail, Groups(2, {}), uids, self.settings, tasks)
        prover = Prover(self.data_dir, self.snapshots, tasks)
        self.cloner = Cloner(self.settings, self.store, self.snapshots, prover, self.launcher, VERSION)
        self.booter = Booter(self.settings, self.store, self.snapshots.layers, prover, self.launcher)
        self.templates = Templates(
            self.settings, self.store, self.snapshots, self.standing, prover, Flattener(jail, uids)
        )

    def image(self, content_id: str, content: bytes = b"first", template_id: str = "", base: str = "base-b") -> Path:
        """A memory image on a base image, as of a template that was booted; what it holds comes of `content`."""
        disk = self.data_dir / "images" / base / "disk"
        disk.parent.mkdir(parents=True, exist_ok=True)
        disk.write_bytes(b"debian")
        folder = self.store.begin(content_id)
        memory = ram.new_ram(RAM_BYTES)
        os.pwrite(memory, content, 4096)
        ram.store(memory, folder / RAM)
        os.close(memory)
        (folder / DISK).write_bytes(content)
        (folder / STATE).write_bytes(b"state of " + content)
        known = ImageManifest(
            content_id=content_id,
            template_name="base",
            vcpus=1,
            memory_mb=1,
            disk_size_mb=1024,
            accelerator="tcg",
            qemu_version=VERSION,
            cpu="max",
            tsc_khz=1,
            kernel_arguments="",
            arguments=(),
            base_content_id="b",
            disks=(f"memory-images/{content_id}/{DISK}", f"images/{base}/disk"),
            state=sum_of_file(folder / STATE),
            ram_bytes=RAM_BYTES,
            template_id=template_id,
            ram_sha256=ram.sum_of(folder / RAM),
            disk_sums=(sum_of(folder / DISK), sum_of(disk)),
        )
        self.store.publish(folder, known)
        self.store.discard(folder)
        return self.settings.images_dir / content_id

    def layer(self) -> str:
        """One of an earlier agent's."""
        name = f"{uuid4()}{layers.SUFFIX}"
        self.snapshots.layers.path(name).write_bytes(b"layer")
        return name

    def sandbox(self, image: str, *names: str, overlay: str = "") -> Path:
        """A stopped one, upon these layers."""
        folder = self.settings.machines_dir / str(uuid4())
        folder.mkdir()
        chain = Chain(overlay or (layers.next_overlay() if names else disks.OVERLAY), names)
        if names:
            layers.write(folder, chain)
        disks.make_overlay(folder / chain.overlay, 1024)
        sha256 = manifests.read_image(self.settings.images_dir / image).sha256
        records.write(folder, str(uuid4()), image, sha256, "image", ProcessIdentity(1, 1))
        return folder

    def paused(self, image: str, *names: str, overlay: str = "") -> Path:
        """The same, with a pause."""
        folder = self.sandbox(image, *names, overlay=overlay)
        pause = folder / f"{saved.PREFIX}{uuid4()}"
        pause.mkdir()
        (pause / saved.MEMORY).write_bytes(bytes(8))
        (pause / saved.STATE).write_bytes(b"state")
        chain = layers.read(folder)
        known = PauseManifest(
            sandbox_id=folder.name,
            incarnation=pause.name.removeprefix(saved.PREFIX),
            image_id=image,
            qemu_version=VERSION,
            accelerator="tcg",
            dirty_bytes=0,
            disk_stamp=disks.stamp(folder / chain.overlay),
            files={name: sum_of_file(pause / name) for name in (saved.MEMORY, saved.STATE)},
            image_sha256=manifests.read_image(self.settings.images_dir / image).sha256,
            overlay=chain.overlay,
            layers=chain.layers,
        )
        manifests.write(pause, known)
        return folder

    def snapshot(self, image: str, *names: str) -> Path:
        """What was kept for a fork."""
        folder = self.snapshots.folder / str(uuid4())
        folder.mkdir()
        (folder / saved.MEMORY).write_bytes(bytes(8))
        (folder / saved.STATE).write_bytes(b"state")
        known = SnapshotManifest(
            snapshot_id=folder.name,
            sandbox_id=str(uuid4()),
            image_id=image,
            qemu_version=VERSION,
            accelerator="tcg",
            vcpus=1,
            memory_mb=1,
            disk_size_mb=1024,
            layers=names,
            files={name: sum_of_file(folder / name) for name in (saved.MEMORY, saved.STATE)},
            image_sha256=manifests.read_image(self.settings.images_dir / image).sha256,
        )
        manifests.write(folder, known)
        return folder

    def put_aside(self, thing: Path) -> Path:
        """As the agent does with garbage."""
        self.quarantine.mkdir(exist_ok=True)
        return thing.rename(self.quarantine / f"{thing.name}.0f0f0f0f")


def spec_of(folder: Path, **changes: Any) -> Spec:
    """Of the sandbox in that folder."""
    return Spec(UUID(folder.name), UUID(int=1), "base", 1, 1, 1024, **changes)


def pause_of(folder: Path) -> Path:
    """Its pause."""
    [found] = saved.pauses(folder)
    return found


def rewrite(folder: Path, **without: Any) -> None:
    """Gives a manifest other values, sealed again; None takes one out, as if it had been written before it was kept."""
    file = folder / manifests.FILE
    values = {**manifests.unseal(file.read_bytes()), **without}
    file.write_bytes(manifests.seal({name: value for name, value in values.items() if value is not None}))


def damage(path: Path) -> None:
    """A bit flips."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lose(path: Path) -> None:
    """It is gone."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def strangers(files: KeptFiles) -> list[str]:
    """What the driver calls garbage of its images."""
    return [one.path for one in garbage.of_images(files.store, files.standing)]

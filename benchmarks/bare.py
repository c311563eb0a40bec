"""QEMU with nothing around it: no jail, no ledger, no gRPC. What the product does is measured against this.

The steps are those of the product (clone from a memory image that is mapped privately, pause that writes dirty pages
and device state, resume from them), written here a second time in the shortest way, so that the floor owes nothing to
the product's driver. Base image and guest program are the product's own: a guest answers both in the same way.
"""

import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.computer import tsc_khz
from benchmarks.guest_memory import PAGE_BYTES, Pages, dirty_pages, ram_address
from benchmarks.qmp import Qmp, connect_unix

POLL_SECONDS = 0.001
PORT_NAME = "nestbox.agent"


@dataclass(frozen=True, slots=True)
class Image:
    """What machines are made from: kernel, initrd, raw base disk; RAM of this size; `tcg` or `kvm`."""

    kernel: Path
    initrd: Path
    disk: Path
    memory_bytes: int
    accelerator: str


class BareMachine:
    """One QEMU, its files in `directory` under `name`. It has no guest link of its own: see `connect`."""

    def __init__(
        self, image: Image, directory: Path, name: str, *, share: bool, incoming: bool, device_only: bool
    ) -> None:
        self._image = image
        self._directory = directory
        self._name = name
        for suffix in ("qmp", "agent"):
            self.file(suffix).unlink(missing_ok=True)
        with self.file("stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                self._arguments(share=share, incoming=incoming, device_only=device_only),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        try:
            self.qmp = Qmp(self.file("qmp"))
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Of QEMU."""
        return self._process.pid

    def file(self, suffix: str) -> Path:
        """One of this machine's files."""
        return self._directory / f"{self._name}.{suffix}"

    def connect(self) -> socket.socket:
        """A socket to the guest's port."""
        return connect_unix(self.file("agent"))

    def load(self, state: Path, *, ignore_shared: bool) -> None:
        """Loads device state; RAM must be there already. The CPU stands still afterwards."""
        self._capability(ignore_shared)
        with state.open("rb") as file:
            self.qmp.give_descriptor("state", file.fileno())
        self.qmp.execute("migrate-incoming", uri="fd:state")
        while self.qmp.execute("query-status")["status"] == "inmigrate":
            time.sleep(POLL_SECONDS)

    def save_template(self) -> None:
        """Stops, and writes device state to `state`; RAM stays in its file, which this machine must share."""
        self.qmp.execute("stop")
        self._capability(True)
        with self.file("state").open("wb") as file:
            self.qmp.give_descriptor("state", file.fileno())
        self.qmp.execute("migrate", uri="fd:state")
        while (status := self.qmp.execute("query-migrate")["status"]) != "completed":
            if status == "failed":
                raise RuntimeError("QEMU could not save the template")
            time.sleep(POLL_SECONDS)

    def pause(self) -> Pages:
        """Stops, writes device state and dirty pages to files, and lets QEMU go; returns the pages' numbers."""
        self.qmp.execute("stop")
        self.qmp.execute("xen-save-devices-state", filename=str(self.file("state")), live=False)
        pages = dirty_pages(self.pid, self._image.memory_bytes)
        start = ram_address(self.pid, self._image.memory_bytes)
        with self._ram().open("rb", buffering=0) as ram, self.file("diff").open("wb") as saved:
            for page in pages:
                ram.seek(start + int(page) * PAGE_BYTES)
                saved.write(ram.read(PAGE_BYTES))
        self.quit()
        return pages

    def restore(self, pages: Pages) -> None:
        """Puts the pages that `pause` saved back into RAM, before the CPU runs."""
        start = ram_address(self.pid, self._image.memory_bytes)
        with self._ram().open("wb", buffering=0) as ram, self.file("diff").open("rb") as saved:
            for page in pages:
                ram.seek(start + int(page) * PAGE_BYTES)
                ram.write(saved.read(PAGE_BYTES))

    def sync(self) -> None:
        """Flushes what `pause` wrote, and the disk, to the host's disk."""
        for suffix in ("state", "diff", "qcow2"):
            with self.file(suffix).open("rb") as file:
                os.fsync(file.fileno())

    def quit(self) -> None:
        """Ends QEMU in order and waits for it."""
        self.qmp.execute("quit")
        self._process.wait()
        self.qmp.close()

    def kill(self) -> None:
        """Ends QEMU however it is. May be repeated."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _ram(self) -> Path:
        return Path(f"/proc/{self.pid}/mem")

    def _capability(self, ignore_shared: bool) -> None:
        capability = {"capability": "x-ignore-shared", "state": ignore_shared}
        self.qmp.execute("migrate-set-capabilities", capabilities=[capability])

    def _arguments(self, *, share: bool, incoming: bool, device_only: bool) -> list[str]:
        image, memory = self._image, self._image.memory_bytes
        ram = self._directory / "ram"
        kernel = f"console=ttyS0 quiet panic=-1 reboot=t tsc=reliable no_timer_check tsc_early_khz={tsc_khz()}"
        arguments = ["qemu-system-x86_64", "-M", f"microvm,accel={image.accelerator},memory-backend=mem", "-cpu", "max"]
        arguments += ["-m", f"{memory >> 20}M", "-smp", "1", "-kernel", str(image.kernel), "-initrd", str(image.initrd)]
        arguments += [
            "-object",
            f"memory-backend-file,id=mem,size={memory},mem-path={ram},share={'on' if share else 'off'}",
        ]
        arguments += ["-append", kernel, "-nodefaults", "-no-user-config", "-nographic", "-no-reboot"]
        arguments += ["-serial", f"file:{self.file('console')}"]
        arguments += ["-drive", f"id=disk,if=none,file={self.file('qcow2')},format=qcow2,cache=unsafe"]
        arguments += ["-device", "virtio-blk-device,drive=disk", "-device", "virtio-serial-device"]
        arguments += ["-device", "virtio-rng-device", "-device", "virtio-net-device"]
        arguments += ["-chardev", f"socket,path={self.file('agent')},server=on,wait=off,id=agent"]
        arguments += ["-device", f"virtserialport,chardev=agent,name={PORT_NAME}"]
        arguments += ["-qmp", f"unix:{self.file('qmp')},server=on,wait=off"]
        arguments += ["-incoming", "defer"] if incoming else []
        # what xen-save-devices-state writes has no section of this name
        arguments += ["-global", "migration.send-configuration=off"] if device_only else []
        return arguments


def overlay(disk: Path, backing: Path, backing_format: str) -> None:
    """A new disk that holds only what differs from `backing`."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(backing), "-F", backing_format, str(disk)]
    subprocess.run(command, check=True)

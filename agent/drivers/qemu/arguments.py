"""QEMU's command line. Pure.

Two halves: what the guest can see, which is frozen in every memory image and stored in its manifest, so that an image
is always resumed with the arguments that it was made with; and what only the host sees, which may change freely.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LINK_PORT = "nestbox.agent"
# Every clone has it; a network backend attached later gives the sandbox an address of its own inside the guest.
GUEST_MAC = "52:54:00:6e:62:01"
CONSOLE_BYTES = 65536
DISK_NODE = "disk"  # what is written to, until a snapshot puts an overlay above it
IMAGE_NODE = "image"  # the topmost disk of the image
GUEST_DISK = "vda"  # the device that the guest has for it


@dataclass(frozen=True, slots=True)
class Disk:
    """A qcow2 overlay and what lies under it, topmost first: `layers` of the sandbox's own, then `backing`, the disks
    of its image, of which the last is raw.

    The chain is spelled out here, so what an overlay's header says about its backing file is never believed.
    """

    overlay: Path
    backing: tuple[Path, ...]
    layers: tuple[Path, ...] = ()

    @property
    def below(self) -> tuple[Path, ...]:
        """Everything that is only read."""
        return (*self.layers, *self.backing)


@dataclass(frozen=True, slots=True)
class Handles:
    """Descriptors that QEMU inherits: two listening sockets."""

    qmp: int
    link: int


@dataclass(frozen=True, slots=True)
class Boot:
    """A cold boot: kernel, initial RAM disk and the kernel's arguments."""

    kernel: Path
    initrd: Path
    kernel_arguments: str


def kernel_arguments(tsc_khz: int) -> str:
    """The guest kernel's command line.

    `tsc_early_khz` (in kHz) spares the calibration against a timer that now and then never ends under TCG. `panic=-1`
    with `reboot=t` and `-no-reboot` turns a panic into an exit of QEMU.
    """
    return (
        "console=ttyS0 quiet panic=-1 reboot=t tsc=reliable no_timer_check net.ifnames=0 8250.nr_uarts=1 "
        f"random.trust_cpu=on tsc_early_khz={tsc_khz}"
    )


def guest_arguments(*, cpu: str, vcpus: int, memory_mb: int) -> list[str]:
    """What the guest sees: final. A change here makes new images; stored ones go on with theirs.

    The network device has no peer: a device that a template lacks can never be added to its clones.
    """
    return [
        *("-M", "microvm,memory-backend=ram,suppress-vmdesc=on,x-option-roms=on,rtc=on,isa-serial=on"),
        *("-cpu", cpu),
        *("-smp", str(vcpus)),
        *("-m", f"{memory_mb}M"),
        *("-device", f"virtio-blk-device,id={GUEST_DISK},drive={DISK_NODE},num-queues=1,discard=on"),
        *("-device", "virtio-serial-device,id=ports,max_ports=8"),
        *("-device", f"virtserialport,bus=ports.0,nr=1,chardev=link,name={LINK_PORT}"),
        *("-device", "virtio-rng-device,id=rng,rng=entropy"),
        *("-device", f"virtio-net-device,id=eth0,mac={GUEST_MAC}"),
        *("-serial", "chardev:console"),
    ]


def _blockdev(disk: Disk) -> str:
    parts = [
        f"driver=qcow2,node-name={DISK_NODE},discard=unmap,detect-zeroes=off",
        f"file.driver=file,file.filename={_escaped(disk.overlay)},file.discard=unmap",
        # The guest's flushes reach the file but not the platter: what must survive the host is synced by a pause.
        "cache.direct=off,cache.no-flush=on,file.cache.no-flush=on",
    ]
    prefix = ""
    for depth, path in enumerate(disk.below):
        prefix += "backing."
        raw = depth == len(disk.below) - 1
        parts.append(f"{prefix}driver={'raw' if raw else 'qcow2'},{prefix}read-only=on")
        if depth == len(disk.layers):
            parts.append(f"{prefix}node-name={IMAGE_NODE}")
        parts.append(f"{prefix}file.driver=file,{prefix}file.filename={_escaped(path)},{prefix}file.locking=off")
    return ",".join(parts)


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def host_arguments(
    *,
    accelerator: str,
    translation_buffer_mb: int,
    ram_fd: int,
    ram_bytes: int,
    ram_shared: bool,
    disk: Disk,
    handles: Handles,
) -> list[str]:
    """What only the host sees: where RAM, disk and sockets are, and what QEMU may do.

    RAM is a memfd, or zeros, opened by its `/proc` name. All but a template map it privately (`ram_shared` false).
    """
    share = "on" if ram_shared else "off"
    ram = f"memory-backend-file,id=ram,size={ram_bytes},mem-path=/proc/self/fd/{ram_fd},share={share}"
    acceleration = f"tcg,tb-size={translation_buffer_mb}" if accelerator == "tcg" else accelerator
    return [
        *("-accel", acceleration),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        # A guest that stops leaves QEMU standing until we have read its last words; then we end it (`Running`).
        *("-action", "shutdown=pause"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        # A stream of device state alone has no section for the configuration.
        *("-global", "migration.send-configuration=off"),
        *("-object", ram),
        *("-object", "rng-builtin,id=entropy"),
        *("-blockdev", _blockdev(disk)),
        *("-chardev", f"ringbuf,id=console,size={CONSOLE_BYTES}"),
        *("-chardev", f"socket,id=link,fd={handles.link},server=on,wait=off"),
        *("-chardev", f"socket,id=qmp,fd={handles.qmp},server=on,wait=off"),
        *("-mon", "chardev=qmp,mode=control"),
    ]


def boot_arguments(boot: Boot) -> list[str]:
    """For a cold boot."""
    return ["-kernel", str(boot.kernel), "-initrd", str(boot.initrd), "-append", boot.kernel_arguments]


def incoming_arguments() -> list[str]:
    """For a machine whose state is loaded when told. It runs by itself once loaded, and says so by the event RESUME.

    It needs no kernel: that is in its RAM.
    """
    return ["-incoming", "defer"]


def full(*halves: Sequence[str]) -> list[str]:
    """One command line of several parts."""
    return [word for half in halves for word in half]

"""What the base image is made of."""

import hashlib
import json
from collections.abc import Sequence

NAME = "base"
"""The template that every host has. Others are made of the same recipe with more packages, or imported."""
VERSION = 1
"""To be raised when the result changes in a way that nothing else here shows."""
SUITE = "bookworm"
DISK_SIZE_MB = 5120
PACKAGES = (
    "busybox-static",  # pid 1: the initrd takes it from here
    "ca-certificates",
    "curl",
    "e2fsprogs",  # grows the disk
    "git",
    "iproute2",
    "procps",
    "python-is-python3",
    "python3",
    "python3-pip",
    "python3-venv",
    "unzip",
)
KERNEL_PACKAGE = "linux-image-cloud-amd64"
# virtio_ring before virtio, which is not what one would guess
MODULES = (
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_mmio",
    "drivers/block/virtio_blk",
    "drivers/char/virtio_console",
    "drivers/char/hw_random/virtio-rng",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    # to end the connections that a clone has from the machine that it was (agent/guest/connections.py)
    "net/ipv4/inet_diag",
    "net/ipv4/tcp_diag",
)
DPKG_OPTIONS = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
# fixed, so that the same packages give the same file system
DISK_UUID = "6e657374-626f-4000-8000-000000000001"
EPOCH = "1700000000"
MKE2FS_OPTIONS = (
    *("-t", "ext4", "-U", DISK_UUID, "-L", "nestbox", "-m", "0", "-J", "size=32"),
    # a sparse file is zero: without the last one, every sandbox would write its inode tables in the background
    *("-E", f"hash_seed={DISK_UUID},lazy_itable_init=1,assume_storage_prezeroed=1"),
)

PYTHON = "/usr/bin/python3"
INITTAB = "::respawn:{python} -I -S -B /run/nestbox/guest/start.py"
IDENTITY_FILES = ("environment", "hostname", "hosts", "machine-id")

# Runs in mmdebstrap with the new root as $1, after the packages are there. The kernel's package is only downloaded.
CUSTOMIZE = f"""set -eu
cd "$1"
rm -f usr/lib/python3*/EXTERNALLY-MANAGED
rm -rf var/cache/apt/* var/lib/apt/lists/* var/cache/debconf/*-old var/log/* var/lib/dpkg/*-old
printf '{INITTAB.format(python=PYTHON)}\\n' > etc/inittab
: > etc/resolv.conf
# the guest program writes them after every clone: into memory, which is faster and leaves the disk clean
for name in {" ".join(IDENTITY_FILES)}; do ln -sf /run/identity/$name etc/$name; done
mkdir -p var/log usr/local/bin
"""
DOWNLOAD_KERNEL = f"""set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
mkdir "$1/kernel-package"
cd "$1/kernel-package"
package=$(apt-cache depends {KERNEL_PACKAGE} | sed -n 's/^ *Depends: \\(linux-image-[0-9].*\\)$/\\1/p' | head -n 1)
apt-get -qq -o APT::Sandbox::User=root download "$package"
"""

INIT = """#!/bin/busybox sh
# The first program of the machine: makes the root file system ready and hands over to its init.
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for module in {modules}; do $b insmod /modules/$module.ko; done
$b mount -t ext4 -o noatime,discard /dev/vda /mnt
for folder in dev sys; do $b mount --move /$folder /mnt/$folder; done
$b mount -t tmpfs -o mode=0755,nosuid,nodev run /mnt/run
$b mount -t tmpfs -o mode=1777,nosuid,nodev tmp /mnt/tmp
$b mkdir -p /mnt/dev/pts /mnt/dev/shm /mnt/run/lock /mnt/run/nestbox /mnt/run/identity
printf '127.0.0.1 localhost\\n::1 localhost ip6-localhost\\n' > /mnt/run/identity/hosts
$b mount -t devpts -o mode=0620,gid=5,ptmxmode=0666 devpts /mnt/dev/pts
$b mount -t tmpfs -o mode=1777,nosuid,nodev shm /mnt/dev/shm
$b ln -s /proc/self/fd /mnt/dev/fd
$b ln -s /proc/self/fd/0 /mnt/dev/stdin
$b ln -s /proc/self/fd/1 /mnt/dev/stdout
$b ln -s /proc/self/fd/2 /mnt/dev/stderr
$b ip link set lo up
# an idle machine is to sleep: no proactive compaction (a timer of 0.5 s), rare statistics, no lock-up watchdog
echo 0 > /proc/sys/vm/compaction_proactiveness
echo 60 > /proc/sys/vm/stat_interval
echo 0 > /proc/sys/kernel/watchdog
# QEMU's emulator translates code once per address: with random ones, every program's libraries are translated again at
# every start (exec of `true`: 33 ms, without 11). So on an emulated machine, and only there, addresses are not random.
if $b grep -q 'QEMU TCG' /proc/cpuinfo; then echo 0 > /proc/sys/kernel/randomize_va_space; fi
$b cp -r /guest /mnt/run/nestbox/guest
$b chmod 0700 /mnt/run/nestbox
$b mount --move /proc /mnt/proc
# pid 1 comes along as well: a disk needs none of its own, and may be another distribution's
$b cp /bin/busybox /mnt/run/nestbox/busybox
# for all that follows; the kernel's 1,024 is less than the guest program may need
ulimit -n 65536
exec $b switch_root /mnt /run/nestbox/busybox init
""".format(modules=" ".join(name.rsplit("/", 1)[1] for name in MODULES))

START = """import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from agent.guest.main import main

main()
"""


def packages_with(include: Sequence[str]) -> tuple[str, ...]:
    """The packages of an image that has more than the usual ones. The order in which they are given says nothing."""
    return tuple(sorted({*PACKAGES, *include}))


def root_key(packages: tuple[str, ...] = PACKAGES) -> str:
    """What the slow part of the build depends on."""
    parts = [VERSION, SUITE, DISK_SIZE_MB, packages, KERNEL_PACKAGE, MODULES, DPKG_OPTIONS, MKE2FS_OPTIONS, EPOCH]
    return hashlib.sha256(json.dumps([*parts, CUSTOMIZE, DOWNLOAD_KERNEL]).encode()).hexdigest()[:32]


def import_key(digest: str) -> str:
    """What an imported disk depends on: the archive, as it was cleaned, and how its file system is made."""
    return hashlib.sha256(json.dumps([VERSION, digest, DISK_SIZE_MB, MKE2FS_OPTIONS]).encode()).hexdigest()[:32]

"""What the qemu driver is told by the program that constructs it."""

from dataclasses import dataclass, field
from pathlib import Path

from agent.drivers.qemu.rate import DiskRate


@dataclass(frozen=True, slots=True)
class QemuSettings:
    """All explicit: the driver reads no environment.

    `data_dir` is the agent's own folder; it and all folders above it must be searchable (0711) by unprivileged users,
    since each machine runs under a user id of its own: `first_uid + slot`, slots below `uid_count`.
    """

    data_dir: Path
    cache_dir: Path
    first_uid: int = 200_000
    uid_count: int = 10_000
    qemu: str = "qemu-system-x86_64"
    boot_timeout_seconds: float = 40.0  # a cold boot under TCG takes 4-8 s on two busy cores
    boot_attempts: int = 3  # boots under TCG can hang early; see the design document on TSC calibration
    guest_timeout_seconds: float = 15.0  # connection and identity of a clone: ~0.2 s under TCG
    grow_timeout_seconds: float = 300.0  # of a disk to its size, under TCG: 0.2 s for 20 GiB, 5 s for each TiB
    save_timeout_seconds: float = 60.0
    pool_max: int = 8  # clones that wait for sandboxes, at most; 0: no pool
    translation_buffer_mb: int = 64  # TCG only; counted in a sandbox's memory
    disk_rate: DiskRate = field(default_factory=DiskRate)  # of each machine

    @property
    def images_dir(self) -> Path:
        """Memory images, one folder per content id."""
        return self.data_dir / "memory-images"

    @property
    def machines_dir(self) -> Path:
        """One folder per sandbox, named by its id."""
        return self.data_dir / "machines"

"""The driver for real microVMs: QEMU, jailed."""

from agent.drivers.qemu.driver import QemuDriver
from agent.drivers.qemu.rate import DiskRate
from agent.drivers.qemu.settings import QemuSettings

__all__ = ["DiskRate", "QemuDriver", "QemuSettings"]

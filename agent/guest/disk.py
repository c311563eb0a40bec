"""The root disk: the host can make it larger while the machine runs."""

# pathlib would take longer to import in an emulated machine than all of this program
# ruff: noqa: PTH123

from __future__ import annotations

import fcntl
import os
import time

from agent.guest import refusal
from agent.guest.refusal import Refusal

_SECTORS = "/sys/class/block/vda/size"
_SECTOR_BYTES = 512
# linux/fs/ext4/ext4.h: _IOW('f', 16, __u64), the new size in blocks. It is all that resize2fs does to a file system
# that is mounted, without a program to load and, in an emulated machine, to translate.
_EXT4_IOC_RESIZE_FS = 0x40086610
_SEEN_SECONDS = 5.0
"""How long the kernel may take to hear of the new size: a millisecond, usually."""
_LOOK_SECONDS = 0.001


def grow(size_bytes: int) -> None:
    """Gives the root file system all of its disk, which has at least `size_bytes` or is about to. Costs next to nothing
    when that is so already. Raises: Refusal; the file system is usable as it was, and this may be repeated."""
    seen = _wait_for(size_bytes)
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        blocks = seen // os.fstatvfs(root).f_bsize
        fcntl.ioctl(root, _EXT4_IOC_RESIZE_FS, blocks.to_bytes(8, "little"))
    except OSError as error:
        reason = f"The file system could not be made larger: {error.strerror}."
        raise Refusal(refusal.INTERNAL, reason) from None
    finally:
        os.close(root)


def _wait_for(size_bytes: int) -> int:
    until = time.monotonic() + _SEEN_SECONDS
    while True:
        with open(_SECTORS, "rb") as file:
            seen = int(file.read()) * _SECTOR_BYTES
        if seen >= size_bytes:
            return seen
        if time.monotonic() > until:
            raise Refusal(refusal.INTERNAL, f"The disk has {seen} bytes, not {size_bytes}.")
        time.sleep(_LOOK_SECONDS)

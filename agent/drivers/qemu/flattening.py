"""Many layers of a disk become one file, by qemu-img in a jail: the layers were written by guests, or by a QEMU that a
guest has taken over, and headers of theirs may name files of the host's."""

import asyncio
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from agent.drivers.driver import ProgressMark
from agent.drivers.qemu.arguments import Disk
from agent.drivers.qemu.jail import Jail, View
from agent.drivers.qemu.spawn import EMPTY_ENVIRONMENT
from agent.drivers.qemu.uids import UserIds
from agent.errors import AgentError, Code

FLATTEN_SECONDS = 3600.0  # of a disk of any size; ~1 s for 300 MB that are used
MEMORY_BYTES_MAX = 2 << 30
"""Of address space: qemu-img takes 200 MB of it for a disk of 5 GiB, and tables follow what their headers say."""
IN_BACKGROUND = ("nice", "-n", "19", "ionice", "-c", "3")
_PERCENT = re.compile(rb"\((\d+)\.\d+/100%\)")


@dataclass(frozen=True, slots=True)
class Flattener:
    """Of one driver."""

    jail: Jail
    uids: UserIds

    async def flatten(self, disk: Disk, size_bytes: int, target: Path, progress: ProgressMark) -> None:
        """A new raw file with what a chain of that size holds, without holes and zeros, made as slowly as others want
        it. Its process is ended if this is cancelled; the file may be there in part then.

        Raises: AgentError SNAPSHOT_FAILED, DISK_FULL, NO_CAPACITY; OSError.
        """
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        uid = self.uids.take() if self.jail.changes_user else None
        try:
            if uid is not None:
                os.chown(target, uid, uid)
            await self._convert(disk, size_bytes, target, uid, progress)
        finally:
            if uid is not None:
                os.chown(target, os.geteuid(), os.getegid())
                self.uids.give_back(uid)

    async def _convert(
        self, disk: Disk, size_bytes: int, target: Path, uid: int | None, progress: ProgressMark
    ) -> None:
        arguments = ("convert", "-p", "-O", "raw", "-S", "4k", _json(disk), str(target))
        process = await asyncio.create_subprocess_exec(
            *IN_BACKGROUND,
            *self.jail.image_command(
                arguments,
                uid=uid,
                view=View(read_only=(disk.overlay, *disk.below), writable=(target,)),
                file_bytes_max=size_bytes,
                memory_bytes_max=MEMORY_BYTES_MAX,
            ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=EMPTY_ENVIRONMENT,
            cwd="/",
        )
        try:
            async with asyncio.timeout(FLATTEN_SECONDS):
                words = await _followed(process, progress)
        finally:
            if process.returncode is None:
                process.kill()
                # until the last of its processes has let go of its output: its user id is another's then
                await process.communicate()
        if process.returncode != 0:
            text = words.decode("utf-8", "replace").strip()
            if "No space left" in text:
                raise AgentError(Code.DISK_FULL, "The host's disk is full.", detail=text)
            raise AgentError(Code.SNAPSHOT_FAILED, "The disk could not be read as a whole.", detail=text)


def _json(disk: Disk) -> str:
    """A chain as qemu-img is told of it, in full: what headers say of it is not believed."""
    described: dict[str, object] | None = None
    for path in reversed((disk.overlay, *disk.below)):
        raw = described is None
        node: dict[str, object] = {
            "driver": "raw" if raw else "qcow2",
            "file": {"driver": "file", "filename": str(path), "locking": "off"},
        }
        if not raw:
            node["backing"] = described
        described = node
    return f"json:{json.dumps(described)}"


async def _followed(process: asyncio.subprocess.Process, progress: ProgressMark) -> bytes:
    """Passes on the percentages that qemu-img prints; what it complained of."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    while text := await process.stdout.read(256):
        if found := _PERCENT.findall(text):
            progress(int(found[-1]))
    _, complaints = await process.communicate()
    return complaints

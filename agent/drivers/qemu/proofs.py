"""Whether disks still are what they were when they were published or frozen. What is verified, and when:

- The disks of an image, before the first machine starts upon them in the life of an agent: the base image's disk once
  for all images on it. One that was made in this life was read then.
- The layers under a sandbox's disk, before a machine starts upon them that resumes, boots or is forked: each once in
  the life of an agent. One that was frozen in this life was read then.
- All of them, whatever their size, before a template is made of them.

Whoever has to wait for it waits ~0.8 ms for each MiB that they hold, on a host that has nothing else to do, if all of
it is no more than `PROVED_FIRST_BYTES`. More than that is read beside the machine that starts; damage is logged then,
and refused to all who come after. A machine that is handed over from the pool waits for nothing.

Not verified are: a file that has the inode, time and size that it had when it was read in this life; disks of images
that were made before there were checksums; layers of that time until they are used, when it is noted what they hold;
and what a sandbox writes to, its overlay. Whatever is found, nothing is removed: what is whole can be put back.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from agent.drivers.qemu import disks, manifests
from agent.drivers.qemu.images import Image
from agent.drivers.qemu.manifests import FileSum, ManifestError
from agent.drivers.qemu.snapshots import Snapshots
from agent.drivers.qemu.sums import Sums
from agent.drivers.qemu.tasks import Tasks
from agent.errors import AgentError, Code

PROVED_FIRST_BYTES = 1 << 30  # ~1 s of one processor
LATER_SECONDS = 2.0  # after a snapshot its children start, and shall not share the host with our reading
log = structlog.get_logger()

Parts = list[tuple[Path, FileSum]]


class Prover:
    """Of one driver. What it reads is read by threads of its own."""

    def __init__(self, data_dir: Path, snapshots: Snapshots, tasks: Tasks) -> None:
        self.sums = Sums(tasks)
        self._data_dir = data_dir
        self._snapshots = snapshots
        self._tasks = tasks
        self._later: set[str] = set()
        self._beside = asyncio.Lock()
        """Held while something is read for which nobody waits: one file at a time."""

    def close(self) -> None:
        """Ends what is being read."""
        self.sums.close()

    async def image(self, image: Image) -> None:
        """Proves the disks of an image. Raises: AgentError IMAGE_MISMATCH."""
        with _damage_told("The template's disk is damaged."):
            await self._prove(self._disks(image))

    async def layers(self, names: Iterable[str]) -> None:
        """Proves layers. Raises: ManifestError, OSError: one is damaged or missing."""
        await self._prove(self._layers(names))

    async def wholly(self, image: Image, names: Iterable[str]) -> None:
        """Proves both before a template is made of them: damage would be summed, and be right for ever after. Raises:
        AgentError IMAGE_MISMATCH."""
        with _damage_told("What the sandbox's disk stands on is damaged."):
            await self._compare([*self._disks(image), *self._layers(names)])

    def _disks(self, image: Image) -> Parts:
        known = image.manifest
        paths = (self._data_dir / name for name in known.disks)
        return list(zip(paths, known.disk_sums, strict=True)) if known.disk_sums else []

    def _layers(self, names: Iterable[str]) -> Parts:
        parts = []
        for name in names:
            content = self._snapshots.layers.sum_of(name)
            if content is None:
                # Of an agent that kept no sums, or ended before it had this one: not verified now, but from now on.
                self.sum_later(name)
            else:
                parts.append((self._snapshots.layers.path(name), content))
        return parts

    async def _prove(self, parts: Parts) -> None:
        unread = [(path, content) for path, content in parts if not self.sums.knows(path)]
        if sum(disks.blocks_of(path) for path, _ in unread) > PROVED_FIRST_BYTES:
            self._tasks.keep(self._prove_beside(unread), "proof of disks")
            parts = [part for part in parts if part not in unread]
        await self._compare(parts)

    async def _compare(self, parts: Parts) -> None:
        for path, content in parts:
            manifests.check(str(path), content, await self.sums.of(path))

    async def _prove_beside(self, parts: Parts) -> None:
        for part in parts:
            try:
                async with self._beside:
                    await self._compare([part])
            except (ManifestError, OSError) as error:
                log.warning("disk_damaged", detail=str(error))

    def sum_later(self, name: str) -> None:
        """Notes what a layer holds that nobody writes to any more, when there may be time for it. Where that does not
        come about, it is tried again when the layer is used."""
        if name not in self._later:
            self._later.add(name)
            self._tasks.keep(self._sum(name), f"sum of layer {name}")

    async def _sum(self, name: str) -> None:
        layers = self._snapshots.layers
        try:
            await asyncio.sleep(LATER_SECONDS)
            async with self._beside:
                content = await self.sums.of(layers.path(name))
            unfinished = await asyncio.to_thread(layers.write_sum, name, content)
            async with self._snapshots.naming:
                layers.publish_sum(name, unfinished)
        except FileNotFoundError:
            pass  # nothing names it any more
        except (OSError, ManifestError) as error:
            log.warning("layer_not_summed", layer=name, reason=str(error))
        finally:
            self._later.discard(name)


@contextlib.contextmanager
def _damage_told(message: str) -> Iterator[None]:
    try:
        yield
    except (ManifestError, OSError) as error:
        raise AgentError(Code.IMAGE_MISMATCH, message, detail=str(error)) from error

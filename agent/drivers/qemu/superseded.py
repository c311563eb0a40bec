"""Images that nothing needs: of another QEMU, an older disk, a template that was removed, a shape that was wanted once.

A base template's memory image is made from its name, so it can be made again; it goes when no sandbox stands on it, and
it is not what would be made now, or many others were used since. With the last image goes the base image (disk, kernel)
below it, if it can be told that it was the last; other base images that nothing stands on are garbage. So what a host
keeps is bounded by its templates and its sandboxes, however often QEMU is upgraded and whatever shapes are asked for.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog

from agent.drivers.driver import QUARANTINE
from agent.drivers.qemu import manifests
from agent.drivers.qemu.images import RAM, Image, ImageStore
from agent.drivers.qemu.manifests import ImageManifest, ManifestError
from agent.drivers.qemu.needs import Needs
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.standing import Standing
from agent.drivers.qemu.template import Recipe
from agent.errors import AgentError, Code
from agent.images import BaseImage
from agent.images.templates import unregistered_disks

BASE_FOLDERS = "base-*"
SHAPES_KEPT = 16
"""Memory images of base templates that no sandbox stands on, each of 150 MB or so."""
SHAPE_IDLE_SECONDS = 600.0
"""Others stay for as long after they were used: longer than a start takes from the choice of its image to a machine
that stands on it."""
log = structlog.get_logger()


class Sweeper:
    """Removes them, when it is asked to. `base_image` is the driver's; `recipe` says what would be made now."""

    def __init__(
        self,
        settings: QemuSettings,
        store: ImageStore,
        base_image: Callable[[str], Awaitable[BaseImage]],
        recipe: Callable[[str, BaseImage, int, int], Recipe],
        standing: Standing,
    ) -> None:
        self._data_dir = settings.data_dir
        self._store = store
        self._base_image = base_image
        self._recipe = recipe
        self._standing = standing
        self._bases: dict[str, BaseImage] = {}
        self._turn = asyncio.Lock()

    def note(self, template_name: str, base: BaseImage) -> bool:
        """What a template boots now: kept, though no image may stand on it yet. Answers whether that is news."""
        news = self._bases.get(template_name) != base
        self._bases[template_name] = base
        return news

    async def sweep(self) -> None:
        """Removes what is not needed; what cannot be told is kept."""
        async with self._turn:
            current: list[Image] = []
            candidates: list[Image] = []
            for image in self._store.all():
                (current if await self._is_current(image) else candidates).append(image)
            needs = await asyncio.to_thread(self._standing.look)
            below = set[Path]()
            for image in (*candidates, *self._idle(current, needs)):
                name = image.manifest.content_id
                if not needs.may_need_image(name):
                    log.info("image_removed", image=name, template=image.manifest.template_name)
                    below |= self._below(image.manifest)
                    await asyncio.to_thread(self._store.remove, name)
            await asyncio.to_thread(self._remove_bases, below)

    def _idle(self, images: Iterable[Image], needs: Needs) -> list[Image]:
        """Those of base templates that can be made again when somebody wants their shape, and that nobody wanted for
        long, the `SHAPES_KEPT` last used apart."""
        by_idleness = sorted(
            (self._store.idle_seconds(image.manifest.content_id), index, image)
            for index, image in enumerate(images)
            if not image.manifest.template_id and not needs.may_need_image(image.manifest.content_id)
        )
        return [image for seconds, _, image in by_idleness[SHAPES_KEPT:] if seconds >= SHAPE_IDLE_SECONDS]

    async def _is_current(self, image: Image) -> bool:
        known = image.manifest
        if known.template_id:
            return True  # of a sandbox: it cannot be made again, and goes when it is told to
        try:
            base = await self._base_image(known.template_name)
        except AgentError as error:
            if error.code is not Code.UNKNOWN_TEMPLATE:
                return True
            self._bases.pop(known.template_name, None)
            return False
        self.note(known.template_name, base)
        return self._recipe(known.template_name, base, known.vcpus, known.memory_mb).content_id == known.content_id

    def _remove_bases(self, below: set[Path]) -> None:
        """Of images that were removed: those that no other stands on."""
        for folder in below.intersection(self.unneeded_bases()):
            log.info("base_image_removed", folder=folder.name)
            shutil.rmtree(folder, ignore_errors=True)

    def unneeded(self) -> list[Path]:
        """Base images that nothing needs, and disks of base templates that are not registered: no ledger knows of
        either. None of them before anything was asked for in the life of this agent. Blocks. Raises: OSError."""
        return [*self.unneeded_bases(), *unregistered_disks(self._data_dir)] if self._bases else []

    def unneeded_bases(self) -> list[Path]:
        """Base images that no memory image stands on, be it put aside as garbage, and that nothing boots from now. None
        of them where that cannot be told: an image cannot be read, or nothing was asked for in the life of this agent,
        so that it is not known what would boot. Blocks."""
        if not self._bases or self._store.strangers():
            return []
        needed = {base.disk.parent for base in tuple(self._bases.values())}
        needed.update(*(self._below(image.manifest) for image in self._store.all()))
        try:
            for folder in (self._data_dir / QUARANTINE).glob("*.*"):
                if (folder / RAM).exists():
                    needed |= self._below(manifests.read_image(folder))
        except ManifestError:
            return []
        return sorted(folder for folder in base_folders(self._data_dir) if folder not in needed)

    def _below(self, image: ImageManifest) -> set[Path]:
        return {(self._data_dir / disk).parent for disk in image.disks}


def base_folders(data_dir: Path) -> Iterable[Path]:
    """Every base image on this host."""
    return (data_dir / "images").glob(BASE_FOLDERS)

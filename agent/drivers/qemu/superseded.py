"""Images that nothing needs: of another QEMU, an older disk, a template that was removed, a shape that was wanted once.

A base template's memory image is made from its name, so it can be made again; it goes when no sandbox stands on it, and
it is not what would be made now, or many others were used since. With the last image goes the base image (disk, kernel)
below it. So what a host keeps is bounded by its templates and its sandboxes, however often QEMU is upgraded and
whatever shapes are asked for.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog

from agent.drivers.qemu import manifests, records, saved
from agent.drivers.qemu.images import Image, ImageStore
from agent.drivers.qemu.manifests import ManifestError
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.template import Recipe
from agent.errors import AgentError, Code
from agent.images import BaseImage

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
        images_in_use: Callable[[], frozenset[str]],
    ) -> None:
        """`images_in_use`: those that something beside sandboxes stands on; it blocks."""
        self._settings = settings
        self._store = store
        self._base_image = base_image
        self._recipe = recipe
        self._others_use = images_in_use
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
            try:
                used = await asyncio.to_thread(images_in_use, self._settings.machines_dir)
                used |= await asyncio.to_thread(self._others_use)
            except (ManifestError, AgentError) as error:
                log.info("nothing_swept", reason=str(error))
                return
            for image in (*candidates, *self._idle(current, used)):
                name = image.manifest.content_id
                if name not in used:
                    log.info("image_removed", image=name, template=image.manifest.template_name)
                    await asyncio.to_thread(self._store.remove, name)
            await asyncio.to_thread(self._remove_bases)

    def _idle(self, images: Iterable[Image], used: set[str]) -> list[Image]:
        """Those of base templates that can be made again when somebody wants their shape, and that nobody wanted for
        long, the `SHAPES_KEPT` last used apart."""
        by_idleness = sorted(
            (self._store.idle_seconds(image.manifest.content_id), index, image)
            for index, image in enumerate(images)
            if not image.manifest.template_id and image.manifest.content_id not in used
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

    def _remove_bases(self) -> None:
        data_dir = self._settings.data_dir
        below = {(data_dir / disk).parent for image in self._store.all() for disk in image.manifest.disks}
        below |= {base.disk.parent for base in self._bases.values()}
        for folder in base_folders(data_dir):
            if folder not in below:
                log.info("base_image_removed", folder=folder.name)
                shutil.rmtree(folder, ignore_errors=True)


def base_folders(data_dir: Path) -> Iterable[Path]:
    """Every base image on this host."""
    return (data_dir / "images").glob(BASE_FOLDERS)


def images_in_use(machines_dir: Path) -> set[str]:
    """The images that sandboxes stand on: their disks, and what was saved of them. Blocks.

    Raises: ManifestError when a sandbox does not say so: it is just being started, or damaged.
    """
    used = set()
    for folder in machines_dir.iterdir():
        names = {records.image_of(folder), *(manifests.read_pause(pause).image_id for pause in saved.pauses(folder))}
        names.discard("")
        if not names:
            raise ManifestError(f"{folder} does not say which image it stands on")
        used |= names
    return used

"""Memory images on disk, and the sealed RAM that clones map."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from agent.drivers.driver import TemplateImage
from agent.drivers.qemu import disks, manifests, ram, records, threads
from agent.drivers.qemu.arguments import Disk
from agent.drivers.qemu.manifests import ImageManifest, ManifestError
from agent.drivers.qemu.standing import Standing
from agent.errors import AgentError, Code

RAM = "ram"
STATE = "state"
DISK = "disk.qcow2"
UNFINISHED, FORMER = "unfinished-", "former-"
SEALED_UNUSED_MAX = 2  # of images that no machine uses, 30-60 MB of memory each; more are read from disk again
SEALED_UNUSED_SECONDS = 120.0  # longer than any start holds the descriptor of one before a machine has it
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Image:
    """A complete memory image."""

    folder: Path
    manifest: ImageManifest

    def require_same(self, sha256: str) -> None:
        """Raises: AgentError IMAGE_MISMATCH unless this is the image that something was made upon: `sha256` is what
        `ImageManifest.sha256` gave then, empty if it was not kept. Another one can have the same name."""
        if sha256 not in {"", self.manifest.sha256}:
            message = "Another memory image is in the place of the one that the sandbox stands on."
            raise AgentError(Code.IMAGE_MISMATCH, message, detail=str(self.folder))

    def disk(self, overlay: Path, data_dir: Path, layers: tuple[Path, ...] = ()) -> Disk:
        """The chain of a machine's disk upon this image."""
        return Disk(overlay, tuple(data_dir / name for name in self.manifest.disks), layers)

    def listed(self) -> TemplateImage:
        """As others see it."""
        known = self.manifest
        return TemplateImage(
            known.template_name,
            known.vcpus,
            known.memory_mb,
            known.disk_size_mb,
            known.content_id,
            UUID(known.template_id) if known.template_id else None,
            disks.blocks_of(self.folder),
        )


class ImageStore:
    """All images of this host. Sealed RAM is loaded when first needed and kept: once per image, whatever the number
    of clones."""

    def __init__(self, folder: Path, standing: Standing) -> None:
        self._folder = folder
        self._standing = standing
        self._images: dict[str, Image] = {}
        self._sealed: dict[str, int] = {}
        self._used: dict[str, float] = {}  # when it was found, made or last asked for, on the monotonic clock
        self._begun: set[Path] = set()
        self._empty = -1
        self._loading = asyncio.Lock()

    def open(self) -> None:
        """Reads what is there and removes what is not complete. Raises: OSError."""
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        for entry in self._folder.iterdir():
            if entry.name.startswith(UNFINISHED):
                records.end_process(entry)  # a template that booted when the agent ended
                shutil.rmtree(entry, ignore_errors=True)
            elif (entry / manifests.FILE).exists():
                try:
                    self._images[entry.name] = Image(entry, _read(entry))
                    self._used[entry.name] = time.monotonic()
                except ManifestError as error:
                    log.warning("image_unreadable", image=entry.name, detail=str(error))

    def close(self) -> None:
        """Lets go of the RAM; machines that map it keep it."""
        for fd in self._sealed.values():
            os.close(fd)
        self._sealed.clear()
        if self._empty >= 0:
            os.close(self._empty)
            self._empty = -1

    def all(self) -> tuple[Image, ...]:
        """Every complete image."""
        return tuple(self._images.values())

    def get(self, content_id: str) -> Image | None:
        """The image of that content."""
        return self._images.get(content_id)

    def idle_seconds(self, content_id: str) -> float:
        """How long nobody has begun anything of an image."""
        return time.monotonic() - self._used[content_id]

    def path(self, content_id: str) -> Path:
        """Where an image is or will be."""
        return self._folder / content_id

    def begin(self, content_id: str) -> Path:
        """A folder to make an image in.

        Raises: OSError; AgentError IMAGE_MISMATCH: there is an image of that name which cannot be read, and something
            stands on it. It is left as it is: another one would have other memory and another disk.
        """
        if content_id not in self._images and self.path(content_id).exists():
            if content_id in self._standing.look().images:
                message = "The template's memory image is damaged on this host, and sandboxes stand on it: until it is "
                message += "mended, or they are deleted, no other can be made in its place."
                raise AgentError(Code.IMAGE_MISMATCH, message, detail=str(self.path(content_id)))
            self._put_by(content_id)
        folder = self._folder / f"{UNFINISHED}{content_id}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o711)
        self._begun.add(folder)
        return folder

    def strangers(self) -> list[Path]:
        """What lies in its folder and is no image, nor is being made one: unreadable, unfinished, put by."""
        own = {image.folder for image in self._images.values()} | self._begun
        return sorted(path for path in self._folder.iterdir() if path not in own)

    def publish(self, unfinished: Path, manifest: ImageManifest) -> Image:
        """Makes it durable and visible. Blocks. Raises: OSError."""
        for name in (STATE, *(path.name for path in unfinished.glob("disk*"))):
            with (unfinished / name).open("rb") as file:
                os.fsync(file.fileno())
        manifests.write(unfinished, manifest)
        manifests.sync_folder(unfinished)
        final = self.path(manifest.content_id)
        unfinished.rename(final)
        manifests.sync_folder(self._folder)
        image = Image(final, manifest)
        self._images[manifest.content_id] = image
        self._used[manifest.content_id] = time.monotonic()
        return image

    def remove(self, content_id: str) -> None:
        """Removes an image that no machine stands on. May be cut off: the next `open` removes the rest. Blocks.

        Raises: OSError.
        """
        if self._forget(content_id):
            doomed = self._folder / f"{UNFINISHED}{content_id}"
            shutil.rmtree(doomed, ignore_errors=True)
            self.path(content_id).rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def put_by(self, content_id: str) -> None:
        """Forgets an image of which it cannot be told whether a machine stands on it: its files stay, under another
        name, until it can (`garbage.py`). Raises: OSError."""
        if self._forget(content_id):
            self._put_by(content_id)

    def _forget(self, content_id: str) -> bool:
        if (fd := self._sealed.pop(content_id, -1)) >= 0:
            os.close(fd)
        self._used.pop(content_id, None)
        return self._images.pop(content_id, None) is not None

    def _put_by(self, content_id: str) -> None:
        former = self._folder / f"{FORMER}{content_id}-{uuid4().hex[:8]}"
        self.path(content_id).rename(former)
        log.warning("image_put_by", image=content_id, folder=former.name)

    def discard(self, unfinished: Path) -> None:
        """Removes what will not be published, and is the end of `begin` in any case. May be repeated."""
        shutil.rmtree(unfinished, ignore_errors=True)
        self._begun.discard(unfinished)

    async def sealed_ram(self, image: Image) -> int:
        """A descriptor of its RAM that nobody can write to; it stays the store's.

        The first call after a start of the agent reads the stored file (~0.2 s). Raises: AgentError IMAGE_MISMATCH.
        """
        name = image.manifest.content_id
        self._used[name] = time.monotonic()
        if name not in self._sealed:
            async with self._loading:
                if name not in self._sealed:
                    try:
                        await threads.by(None, self._seal, image)
                    except (OSError, ManifestError) as error:
                        raise AgentError(
                            Code.IMAGE_MISMATCH, "The template's memory image is damaged.", detail=str(error)
                        ) from error
        return self._sealed[name]

    def _seal(self, image: Image) -> None:
        """Kept by the thread itself: whoever waited for it may be gone by then."""
        self._sealed[image.manifest.content_id] = _load(image)

    def let_go(self, in_use: Collection[str]) -> int:
        """Gives back the RAM of images (content ids) that no machine uses, least recently used first, all but
        `SEALED_UNUSED_MAX`; answers how many. A machine that maps it would keep it anyway, but for itself alone."""
        before = time.monotonic() - SEALED_UNUSED_SECONDS
        unused = sorted(self._sealed.keys() - set(in_use), key=self._used.__getitem__, reverse=True)
        old = [name for name in unused[SEALED_UNUSED_MAX:] if self._used[name] < before]
        for name in old:
            os.close(self._sealed.pop(name))
        return len(old)

    def empty_ram(self) -> int:
        """A descriptor that gives zeros without end, for RAM that is no image's; it stays the store's. Mapped privately
        it is memory like any other: nothing is shared through it. Raises: OSError."""
        if self._empty < 0:
            self._empty = os.open(ram.EMPTY, os.O_RDWR | os.O_CLOEXEC)
        return self._empty

    async def base_of(self, image: Image, base: ram.Base) -> int:
        """What the RAM of a machine begins as; see `sealed_ram` and `empty_ram`."""
        return self.empty_ram() if base is ram.Base.EMPTY else await self.sealed_ram(image)

    def open_state(self, image: Image) -> int:
        """The device state, for a clone to load; the caller closes it. Raises: OSError."""
        return os.open(image.folder / STATE, os.O_RDONLY | os.O_CLOEXEC)


def _read(folder: Path) -> ImageManifest:
    manifest = manifests.read_image(folder)
    if manifest.content_id != folder.name:
        raise ManifestError(f"{folder}: it is called {manifest.content_id}")
    return manifest


def _load(image: Image) -> int:
    manifests.check(STATE, image.manifest.state, manifests.sum_of_file(image.folder / STATE))
    if image.manifest.ram_sha256 and ram.sum_of(image.folder / RAM) != image.manifest.ram_sha256:
        raise ManifestError(f"{image.folder / RAM} is not what was stored")
    fd = ram.load_sealed(image.folder / RAM)
    if os.fstat(fd).st_size != image.manifest.ram_bytes:
        os.close(fd)
        raise ManifestError(f"{image.folder / RAM} has another size")
    return fd


@contextlib.contextmanager
def closing(fd: int) -> Iterator[int]:
    """Closes a descriptor at the end of a block."""
    try:
        yield fd
    finally:
        os.close(fd)

"""The base image: found, or built; then put where QEMU can read it."""

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.images import initrd, recipe, rootfs
from agent.images.lock import locked
from agent.images.registry import Registry
from agent.images.tools import BuildError, Progress, require_tools

FREE_BYTES_MIN = 2 << 30  # a build needs about 1 GB at its peak
_STAGING = ".building-"
_FILES = ("kernel", "initrd", "disk")


@dataclass(frozen=True, slots=True)
class BaseImage:
    """Files for QEMU, readable by everybody and written by nobody. `disk` is raw ext4, sparse. `content_id` is the
    SHA-256 of all that they are made from, 64 hex digits."""

    kernel: Path
    initrd: Path
    disk: Path
    content_id: str
    disk_size_mb: int


async def base_image(cache_dir: Path, data_dir: Path, progress: Progress, name: str = recipe.NAME) -> BaseImage:
    """The base image of a template in `data_dir/images`. The usual one comes from the cache or is built into it (about
    40 s, and needs Debian's packages); the disk of another one was put beside it when it was registered, and it has the
    usual one's kernel.

    Concurrent calls, of other processes too, build once.
    Raises: UnknownTemplate: it is not registered. BuildError. Nothing half-built is left. May be cancelled and
        repeated.
    """
    disk = None if name == recipe.NAME else disk_folder(data_dir, Registry(data_dir).get(name).disk)
    if disk is not None and not (disk / rootfs.MANIFEST).exists():
        raise BuildError(f"The disk of the template {name} is not on this host any more: remove it and make it again.")
    with storing(cache_dir, data_dir):
        cache = cache_dir / "images"
        cache.mkdir(parents=True, exist_ok=True)
        async with locked(cache / "lock", progress):
            root = await _root(cache, progress)
            return await asyncio.to_thread(_install, root, disk or root, data_dir / "images")


def disk_folder(data_dir: Path, key: str) -> Path:
    """Where the disk of a template of one's own lies, with its manifest. It stays while the template is registered."""
    return data_dir / "images" / f"disk-{key}"


def disk_folders(data_dir: Path) -> Iterator[Path]:
    """Of all such disks."""
    return (data_dir / "images").glob("disk-*")


@contextlib.contextmanager
def storing(cache_dir: Path, data_dir: Path) -> Iterator[None]:
    """Says in a sentence why files could not be stored. Raises: BuildError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BuildError(f"There is no space left for the base image in {cache_dir} or {data_dir}.") from error
        raise BuildError(f"The base image could not be stored: {error}.") from error


async def _root(cache: Path, progress: Progress) -> Path:
    """The slow part, from the cache if it is there."""
    root = cache / f"root-{recipe.root_key()}"
    if (root / rootfs.MANIFEST).exists():
        return root
    require_tools()
    require_room(cache)
    progress("Building the base image from Debian's packages, once; this takes about a minute.")
    async with staging(cache) as folder:
        await rootfs.build(folder, progress)
        publish(folder, root)
    progress("The base image is built.")
    return root


async def usual_root(cache: Path, progress: Progress) -> Path:
    """The folder in the cache with the usual image's parts. Raises: BuildError, OSError."""
    async with locked(cache / "lock", progress):
        return await _root(cache, progress)


def require_room(folder: Path) -> None:
    """Raises: BuildError when a build would fill the disk."""
    if shutil.disk_usage(folder).free < FREE_BYTES_MIN:
        raise BuildError(f"Building a base image needs {FREE_BYTES_MIN >> 30} GiB of free space in {folder}.")


@contextlib.asynccontextmanager
async def staging(parent: Path) -> AsyncIterator[Path]:
    """A private folder in `parent` to make something in, gone at the end unless it was published. What killed programs
    left is removed as well: the lock of `parent` is held."""
    for stale in parent.glob(f"{_STAGING}*"):
        await asyncio.to_thread(shutil.rmtree, stale, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, target: Path) -> None:
    """Makes what was staged visible, for nobody to write to. Raises: OSError."""
    for file in folder.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o444)
    folder.rename(target)


def _install(root: Path, disk: Path, images: Path) -> BaseImage:
    """Adds what changes with the guest program, and makes all of it visible at once. `disk` is the folder of the disk:
    `root`, unless it is another template's. What killed programs left is removed: the lock is held."""
    for stale in images.glob(f"{_STAGING}*"):
        shutil.rmtree(stale, ignore_errors=True)
    archive = initrd.build(root / "busybox", root / "modules")
    manifest = (root / rootfs.MANIFEST).read_bytes()
    digest = hashlib.sha256((disk / rootfs.MANIFEST).read_bytes())
    if disk != root:
        digest.update(str(json.loads(manifest)["kernel"]).encode())
    digest.update(archive)
    content_id = digest.hexdigest()
    target = images / f"base-{content_id[:32]}"
    if not target.is_dir():
        images.mkdir(parents=True, exist_ok=True)
        images.chmod(0o711)
        folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=images))
        try:
            (folder / "initrd").write_bytes(archive)
            link_or_copy(root / "kernel", folder / "kernel")
            link_or_copy(disk / "disk", folder / "disk")
            for name in _FILES:
                (folder / name).chmod(0o444)
            folder.chmod(0o755)
            folder.rename(target)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return BaseImage(target / "kernel", target / "initrd", target / "disk", content_id, recipe.DISK_SIZE_MB)


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name where the file system allows it, else a copy that keeps its holes."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        copy_sparse(source, target)


def copy_sparse(source: Path, target: Path) -> None:
    """A copy that keeps the holes. Raises: OSError, FileExistsError among them."""
    with source.open("rb") as reader, target.open("xb") as writer:
        size = os.fstat(reader.fileno()).st_size
        position = 0
        while position < size:
            try:
                start = os.lseek(reader.fileno(), position, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # nothing but a hole up to the end
            position = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            os.lseek(reader.fileno(), start, os.SEEK_SET)
            os.lseek(writer.fileno(), start, os.SEEK_SET)
            left = position - start
            while left:
                left -= os.sendfile(writer.fileno(), reader.fileno(), None, left)
        writer.truncate(size)

"""The base image: found, or built; then put where QEMU can read it."""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from agent.images import initrd, recipe, rootfs
from agent.images.tools import BuildError, Progress, require_tools

LOCK_POLL_SECONDS = 0.2
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


async def base_image(cache_dir: Path, data_dir: Path, progress: Progress) -> BaseImage:
    """The base image in `data_dir/images`, from the cache or built into it (about 40 s, and needs Debian's packages).

    Concurrent calls, of other processes too, build once.
    Raises: BuildError; nothing half-built is left. May be cancelled and repeated.
    """
    cache = cache_dir / "images"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        async with _locked(cache / "lock", progress):
            root = await _root(cache, progress)
            return await asyncio.to_thread(_install, root, data_dir / "images")
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
    if shutil.disk_usage(cache).free < FREE_BYTES_MIN:
        raise BuildError(f"Building the base image needs {FREE_BYTES_MIN >> 30} GiB of free space in {cache}.")
    for stale in cache.glob(f"{_STAGING}*"):
        # we hold the lock: whoever made it is gone
        await asyncio.to_thread(shutil.rmtree, stale, ignore_errors=True)
    progress("Building the base image from Debian's packages, once; this takes about a minute.")
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=cache))
    try:
        await rootfs.build(staging, progress)
        for file in (*staging.iterdir(), *(staging / "modules").iterdir()):
            file.chmod(0o755 if file.is_dir() else 0o444)
        staging.rename(root)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    progress("The base image is built.")
    return root


def _install(root: Path, images: Path) -> BaseImage:
    """Adds what changes with the guest program, and makes all of it visible at once."""
    archive = initrd.build(root / "busybox", root / "modules")
    digest = hashlib.sha256((root / rootfs.MANIFEST).read_bytes())
    digest.update(archive)
    content_id = digest.hexdigest()
    target = images / f"base-{content_id[:32]}"
    if not target.is_dir():
        images.mkdir(parents=True, exist_ok=True)
        images.chmod(0o711)
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=images))
        try:
            (staging / "initrd").write_bytes(archive)
            for name in ("kernel", "disk"):
                link_or_copy(root / name, staging / name)
            for name in _FILES:
                (staging / name).chmod(0o444)
            staging.chmod(0o755)
            staging.rename(target)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    return BaseImage(target / "kernel", target / "initrd", target / "disk", content_id, recipe.DISK_SIZE_MB)


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name where the file system allows it, else a copy that keeps its holes."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        _copy_sparse(source, target)


def _copy_sparse(source: Path, target: Path) -> None:
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


@contextlib.asynccontextmanager
async def _locked(path: Path, progress: Progress) -> AsyncIterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        said = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    progress("Waiting for another program that builds the base image…")
                    said = True
                await asyncio.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)

"""Base templates of one's own: with more packages, or imported. Made, listed and removed while an agent runs or not."""

import asyncio
import shutil
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agent.images import archive, recipe, rootfs
from agent.images.build import (
    disk_folder,
    disk_folders,
    link_or_copy,
    publish,
    require_room,
    staging,
    storing,
    usual_root,
)
from agent.images.lock import is_free, locked
from agent.images.names import check_packages, check_template_name
from agent.images.registry import BaseTemplate, Registry, UnknownTemplate
from agent.images.tools import BuildError, Progress, require_tools


@dataclass(frozen=True, slots=True)
class Listed:
    """A template, the blocks that its disk takes on this host, and whether that is there at all."""

    template: BaseTemplate
    stored_bytes: int
    is_present: bool


async def build_template(
    cache_dir: Path, data_dir: Path, name: str, include: Iterable[str], progress: Progress
) -> BaseTemplate:
    """A template of the usual packages and `include`. The same packages, in any order, are built once (about a minute).

    Raises: BuildError: a name or a package cannot be called so, Debian has no such package, the name has another
        content already. Nothing half-built is left. May be cancelled and repeated.
    """
    check_template_name(name)
    wanted = check_packages(include)
    packages = recipe.packages_with(wanted)
    template = _template(name, recipe.root_key(packages), tuple(p for p in wanted if p not in recipe.PACKAGES), "")
    registry = Registry(data_dir)
    with storing(cache_dir, data_dir):
        registry.open()
        _require_free(registry, template)
        built = await _built(cache_dir, packages, progress)
        async with locked(registry.lock, progress):
            target = disk_folder(data_dir, template.disk)
            if not target.exists():
                async with staging(registry.folder) as folder:
                    for file in ("disk", rootfs.MANIFEST):
                        await asyncio.to_thread(link_or_copy, built / file, folder / file)
                    _publish(folder, target)
            registry.add(template)
    return registry.get(name)


async def _built(cache_dir: Path, packages: tuple[str, ...], progress: Progress) -> Path:
    """A folder in the cache with the disk of these packages."""
    if packages == recipe.PACKAGES:
        images = cache_dir / "images"
        images.mkdir(parents=True, exist_ok=True)
        return await usual_root(images, progress)
    disks = cache_dir / "disks"
    disks.mkdir(parents=True, exist_ok=True)
    disk = disks / f"disk-{recipe.root_key(packages)}"
    async with locked(disks / "lock", progress):
        if not (disk / rootfs.MANIFEST).exists():
            require_tools()
            require_room(disks)
            async with staging(disks) as folder:
                await rootfs.build_disk(folder, packages, progress)
                publish(folder, disk)
    return disk


async def import_template(cache_dir: Path, data_dir: Path, name: str, source: Path, progress: Progress) -> BaseTemplate:
    """A template of a root file system in a tar archive, plain or packed with gzip, xz or bzip2. The same content again
    is the same disk.

    Raises: BuildError: what `archive.clean` refuses, or the name has another content already. Nothing half-made is
        left. May be cancelled and repeated.
    """
    check_template_name(name)
    if not source.is_file():
        raise BuildError(f"There is no archive {source}.")
    require_tools()
    registry = Registry(data_dir)
    with storing(cache_dir, data_dir):
        registry.open()
        async with locked(registry.lock, progress):
            require_room(registry.folder)
            async with staging(registry.folder) as folder:
                progress(f"Reading {source.name}…")
                left_out = await _cleaned(source, folder / "root.tar")
                if left_out:
                    progress(f"Left out: {left_out} devices, pipes or sockets. The guest's kernel makes those in /dev.")
                digest = await asyncio.to_thread(rootfs.digest_of, folder / "root.tar")
                template = _template(name, recipe.import_key(digest), (), source.name)
                _require_free(registry, template)
                target = disk_folder(data_dir, template.disk)
                if not target.exists():
                    progress("Making the disk…")
                    await rootfs.make_disk(folder, folder / "root.tar")
                    rootfs.write_manifest(folder, {"recipe": template.disk, "root": digest})
                    _publish(folder, target)
            registry.add(template)
    return registry.get(name)


async def _cleaned(source: Path, target: Path) -> int:
    stop = threading.Event()
    reading = asyncio.get_running_loop().run_in_executor(None, archive.clean, source, target, stop)
    try:
        return await asyncio.shield(reading)
    finally:
        stop.set()
        await asyncio.wait([reading])
        reading.exception()  # whoever was cancelled does not ask for it


async def remove_template(data_dir: Path, name: str, progress: Progress) -> bool:
    """Forgets a template and removes its disk, unless another template has the same. Answers whether it was there. The
    image that sandboxes stand on is not touched: the agent removes it when none does any more. May be repeated.

    Raises: BuildError for the built-in one.
    """
    check_template_name(name)
    registry = Registry(data_dir)
    with storing(data_dir, data_dir):
        registry.open()
        async with locked(registry.lock, progress):
            if registry.stamp(name) is None:
                return False
            registry.remove(name)
            for folder in _unregistered(registry, disk_folders(data_dir)):
                await asyncio.to_thread(shutil.rmtree, folder)
    return True


def unregistered_disks(data_dir: Path) -> list[Path]:
    """Disks of no template: a program was killed between the disk and its registration. None of them while one works on
    that, or where a registration cannot be read. Raises: OSError."""
    registry = Registry(data_dir)
    found = sorted(disk_folders(data_dir))
    try:
        # the lock after the look: what was put there before is registered when the lock is free
        return _unregistered(registry, found) if found and is_free(registry.lock) else []
    except BuildError:
        return []


def _unregistered(registry: Registry, folders: Iterable[Path]) -> list[Path]:
    used = {disk_folder(registry.folder.parent, template.disk) for template in registry.all()}
    return [folder for folder in folders if folder not in used]


def list_templates(cache_dir: Path, data_dir: Path) -> list[Listed]:
    """The built-in template, then all others by name. Raises: BuildError, OSError."""
    usual = BaseTemplate(recipe.NAME, recipe.root_key(), recipe.PACKAGES, "", "")
    found = [(usual, cache_dir / "images" / f"root-{usual.disk}")]
    found += [(template, disk_folder(data_dir, template.disk)) for template in Registry(data_dir).all()]
    return [
        Listed(template, _blocks(folder / "disk"), (folder / rootfs.MANIFEST).exists()) for template, folder in found
    ]


def _template(name: str, disk: str, packages: tuple[str, ...], source: str) -> BaseTemplate:
    return BaseTemplate(name, disk, packages, source, datetime.now(UTC).isoformat(timespec="seconds"))


def _require_free(registry: Registry, template: BaseTemplate) -> None:
    """Before the slow part. Raises: BuildError when the name has another content."""
    try:
        known = registry.get(template.name)
    except UnknownTemplate:
        return
    if known.disk != template.disk:
        raise BuildError(
            f"There is another template {template.name} on this host: choose another name, or remove it first."
        )


def _publish(folder: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o711, exist_ok=True)
    target.parent.chmod(0o711)
    publish(folder, target)


def _blocks(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except OSError:
        return 0

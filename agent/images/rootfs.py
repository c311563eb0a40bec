"""The slow part: packages to a disk, a kernel and its modules. It changes with the recipe only."""

import asyncio
import hashlib
import json
import os
import shlex
import shutil
import tarfile
from pathlib import Path

from agent.images import recipe
from agent.images.tools import BuildError, Progress, run

MANIFEST = "manifest.json"

# what mmdebstrap says → what we say
_SENTENCES = {
    "I: running apt-get update": "Reading Debian's package lists…",
    "I: downloading packages with apt": "Downloading Debian packages…",
    "I: extracting archives": "Unpacking Debian packages…",
    "I: installing essential packages": "Installing the essential packages…",
    "I: installing remaining packages": "Installing Python, git and the other packages…",
    "I: cleaning package lists": "Packing the root file system…",
}
_BUSYBOX_NAMES = ("./usr/bin/busybox", "./bin/busybox")


async def build(folder: Path, progress: Progress) -> None:
    """Fills the empty `folder` with `disk`, `kernel`, `busybox`, `modules/` and the manifest. Raises: BuildError."""
    archive, package = folder / "root.tar", folder / "kernel-package"
    await _bootstrap(folder, archive, progress)
    progress("Unpacking the kernel…")
    digest = await asyncio.to_thread(_digest, archive)
    version = await _unpack_kernel(folder, package)
    await asyncio.to_thread(_take_busybox, archive, folder / "busybox")
    progress("Making the disk…")
    await _make_disk(folder, archive)
    archive.unlink()
    manifest = {"recipe": recipe.root_key(), "root": digest, "kernel": version}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


async def _bootstrap(folder: Path, archive: Path, progress: Progress) -> None:
    def said(line: str) -> None:
        for start, sentence in _SENTENCES.items():
            if line.startswith(start):
                progress(sentence)

    as_root = os.geteuid() == 0
    own = {"SOURCE_DATE_EPOCH": recipe.EPOCH}
    if as_root:
        # another user's programs cannot enter our folder, and need not
        own["TMPDIR"] = str(folder)
    await run(
        (
            "mmdebstrap",
            f"--mode={'root' if as_root else 'unshare'}",
            "--variant=minbase",
            "--include=" + ",".join(recipe.PACKAGES),
            *(f"--dpkgopt={option}" for option in recipe.DPKG_OPTIONS),
            '--aptopt=APT::Sandbox::User "root"',
            f"--customize-hook={recipe.DOWNLOAD_KERNEL}",
            f"--customize-hook=copy-out /kernel-package {shlex.quote(str(folder))}",
            '--customize-hook=rm -r "$1/kernel-package"',
            f"--customize-hook={recipe.CUSTOMIZE}",
            recipe.SUITE,
            str(archive),
        ),
        variables=own,
        cwd=folder,
        said=said,
    )


async def _unpack_kernel(folder: Path, package: Path) -> str:
    """Returns the kernel's version."""
    unpacked = folder / "kernel-unpacked"
    files = list(package.glob("linux-image-*.deb"))
    if len(files) != 1:
        raise BuildError(f"Debian gave no kernel package {recipe.KERNEL_PACKAGE}.", detail=str(files))
    await run(("dpkg-deb", "-x", str(files[0]), str(unpacked)), cwd=folder)
    (kernel,) = (unpacked / "boot").glob("vmlinuz-*")
    version = kernel.name.removeprefix("vmlinuz-")
    shutil.copyfile(kernel, folder / "kernel")
    modules = folder / "modules"
    modules.mkdir()
    for name in recipe.MODULES:
        source = unpacked / "lib/modules" / version / "kernel" / f"{name}.ko"
        if not source.exists():
            raise BuildError(f"The kernel package has no module {name}.", detail=version)
        shutil.copyfile(source, modules / source.name)
    shutil.rmtree(unpacked)
    shutil.rmtree(package)
    return version


async def _make_disk(folder: Path, archive: Path) -> None:
    """An ext4 file system from the archive, without mounting anything. It takes a user namespace when we are not root:
    files must belong to root and others in there."""
    options = shlex.join(recipe.MKE2FS_OPTIONS)
    script = (
        f"set -eu; mkdir root; tar -xf {shlex.quote(str(archive))} -C root --exclude='./dev/*' --numeric-owner; "
        f"mke2fs -q {options} -d root disk {recipe.DISK_SIZE_MB}M; rm -rf root"
    )
    prefix = () if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--map-auto", "--")
    await run((*prefix, "sh", "-c", script), variables={"E2FSPROGS_FAKE_TIME": recipe.EPOCH}, cwd=folder)


def _digest(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _take_busybox(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as members:
        for member in members:
            if member.name in _BUSYBOX_NAMES and member.isreg():
                content = members.extractfile(member)
                if content is not None:
                    target.write_bytes(content.read())
                    return
    raise BuildError("The root file system has no busybox.")

"""The slow part: packages to a disk, a kernel and its modules. It changes with the recipe only."""

import asyncio
import hashlib
import json
import os
import re
import shlex
import shutil
import tarfile
from collections.abc import Mapping
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
_UNKNOWN_PACKAGE = re.compile(r"Unable to locate package (\S+)|Package '?([^' ]+)'? has no installation candidate")
_BUSYBOX_NAMES = ("./usr/bin/busybox", "./bin/busybox")


async def build(folder: Path, progress: Progress) -> None:
    """Fills the empty `folder` with `disk`, `kernel`, `busybox`, `modules/` and the manifest. Raises: BuildError."""
    archive, package = folder / "root.tar", folder / "kernel-package"
    await _bootstrap(folder, archive, recipe.PACKAGES, progress, kernel=True)
    progress("Unpacking the kernel…")
    digest = await asyncio.to_thread(digest_of, archive)
    version = await _unpack_kernel(folder, package)
    await asyncio.to_thread(_take_busybox, archive, folder / "busybox")
    progress("Making the disk…")
    await make_disk(folder, archive)
    write_manifest(folder, {"recipe": recipe.root_key(), "root": digest, "kernel": version})


async def build_disk(folder: Path, packages: tuple[str, ...], progress: Progress) -> None:
    """Fills the empty `folder` with a `disk` of these packages and the manifest; kernel and the rest are those of the
    usual image. Raises: BuildError; it names packages that Debian does not have."""
    archive = folder / "root.tar"
    await _bootstrap(folder, archive, packages, progress, kernel=False)
    digest = await asyncio.to_thread(digest_of, archive)
    progress("Making the disk…")
    await make_disk(folder, archive)
    write_manifest(folder, {"recipe": recipe.root_key(packages), "root": digest, "packages": packages})


def write_manifest(folder: Path, facts: Mapping[str, object]) -> None:
    """What is in the folder, to be written last: a folder without it is not complete."""
    (folder / MANIFEST).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


async def _bootstrap(
    folder: Path, archive: Path, packages: tuple[str, ...], progress: Progress, *, kernel: bool
) -> None:
    unknown: set[str] = set()

    def said(line: str) -> None:
        for start, sentence in _SENTENCES.items():
            if line.startswith(start):
                progress(sentence)
        if found := _UNKNOWN_PACKAGE.search(line):
            unknown.add(found[1] or found[2])

    as_root = os.geteuid() == 0
    own = {"SOURCE_DATE_EPOCH": recipe.EPOCH}
    if as_root:
        # another user's programs cannot enter our folder, and need not
        own["TMPDIR"] = str(folder)
    hooks = [f"--customize-hook={recipe.CUSTOMIZE}"]
    if kernel:
        hooks[:0] = [
            f"--customize-hook={recipe.DOWNLOAD_KERNEL}",
            f"--customize-hook=copy-out /kernel-package {shlex.quote(str(folder))}",
            '--customize-hook=rm -r "$1/kernel-package"',
        ]
    # A name with a dot in it that no package has would be taken for a pattern that may fit hundreds.
    patterns = () if packages == recipe.PACKAGES else ('--aptopt=APT::Cmd::Pattern-Only "true"',)
    try:
        await run(
            (
                "mmdebstrap",
                f"--mode={'root' if as_root else 'unshare'}",
                "--variant=minbase",
                "--include=" + ",".join(packages),
                *(f"--dpkgopt={option}" for option in recipe.DPKG_OPTIONS),
                '--aptopt=APT::Sandbox::User "root"',
                *patterns,
                *hooks,
                recipe.SUITE,
                str(archive),
            ),
            variables=own,
            cwd=folder,
            said=said,
        )
    except BuildError as error:
        if unknown:
            names = ", ".join(sorted(unknown))
            raise BuildError(f"Debian {recipe.SUITE} has no package {names}.") from error
        raise


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


async def make_disk(folder: Path, archive: Path) -> None:
    """Turns the archive into `folder/disk`, an ext4 file system, without mounting anything. It takes a user namespace
    when we are not root: files must belong to root and others in there. The archive is unpacked in `folder`, which must
    be closed to others, and must hold nothing that leads out of it. Raises: BuildError."""
    options = shlex.join(recipe.MKE2FS_OPTIONS)
    script = (
        f"set -eu; mkdir root; tar -xf {shlex.quote(str(archive))} -C root --exclude='./dev/*' --numeric-owner; "
        f"mke2fs -q {options} -d root disk {recipe.DISK_SIZE_MB}M; rm -rf root"
    )
    prefix = () if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--map-auto", "--")
    await run((*prefix, "sh", "-c", script), variables={"E2FSPROGS_FAKE_TIME": recipe.EPOCH}, cwd=folder)
    archive.unlink()


def digest_of(archive: Path) -> str:
    """SHA-256, 64 hex digits."""
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

"""What lies beside saved memory and disks: what it is, what it fits, and the checksums of its files."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "manifest.json"
FORMAT = 2
OWN_SUM = "sha256"  # of the manifest itself, but for this
CHUNK_BYTES = 1 << 20


class ManifestError(Exception):
    """A manifest is missing, damaged, of another format, or does not fit its files."""


@dataclass(frozen=True, slots=True)
class FileSum:
    """A file's size and SHA-256 (~6 ms per 10 MB here, a third of BLAKE2b's time)."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """Of a template's memory image. `arguments` are what the guest saw of its machine: clones get the same."""

    content_id: str
    template_name: str
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    accelerator: str
    qemu_version: str
    cpu: str
    tsc_khz: int
    kernel_arguments: str
    arguments: tuple[str, ...]
    base_content_id: str
    disks: tuple[str, ...]  # below the overlay, topmost first, relative to the data directory
    state: FileSum
    ram_bytes: int
    # of an image that was made of a sandbox
    template_id: str = ""
    ram_sha256: str = ""  # as `ram.sum_of` gives it; empty in images that were made before it was kept
    # Of `disks`, as `sums.sum_of` gives them. Empty in images that were made before they were kept: their disks are
    # not verified, and their clones start as they always did.
    disk_sums: tuple[FileSum, ...] = ()
    format: int = FORMAT

    @property
    def sha256(self) -> str:
        """Of what it came to: memory, device state and disks. `content_id` names the recipe, and of one recipe other
        images are made each time."""
        return _sum({"ram": self.ram_sha256, "state": asdict(self.state), "disks": list(map(asdict, self.disk_sums))})


@dataclass(frozen=True, slots=True)
class PauseManifest:
    """Of a paused machine: all its own pages and its device state, upon one image. `ram_base` says what its other pages
    are: the image's, or zeros if it booted from its disk. `image_sha256` as `ImageManifest.sha256`, `overlay` and
    `layers` are its disk, as its note says (`layers.py`); empty in what was saved before they were kept."""

    sandbox_id: str
    incarnation: str
    image_id: str
    qemu_version: str
    accelerator: str
    dirty_bytes: int
    disk_stamp: list[int]
    files: dict[str, FileSum] = field(default_factory=dict)
    ram_base: str = "image"
    image_sha256: str = ""
    overlay: str = ""
    layers: tuple[str, ...] = ()
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class SnapshotManifest:
    """Of what was kept of a sandbox: its own pages and device state upon one image, and the layers of its disk, topmost
    first. `ram_base` and `image_sha256` as in `PauseManifest`."""

    snapshot_id: str
    sandbox_id: str
    image_id: str
    qemu_version: str
    accelerator: str
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    layers: tuple[str, ...]
    files: dict[str, FileSum] = field(default_factory=dict)
    ram_base: str = "image"
    image_sha256: str = ""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class LayerManifest:
    """Of a frozen layer of a disk, beside it: a layer outlives the snapshot that it was frozen for, and chains of many
    machines name it. `content` is what `sums.sum_of` gives."""

    layer: str
    content: FileSum
    format: int = FORMAT


Manifest = ImageManifest | PauseManifest | SnapshotManifest | LayerManifest


def write(folder: Path, manifest: Manifest, name: str = FILE) -> None:
    """Writes and syncs it."""
    content = seal(asdict(manifest))
    fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)


def read_image(folder: Path) -> ImageManifest:
    """Raises: ManifestError."""
    values = _read(folder)
    try:
        values["state"] = FileSum(**values["state"])
        values["arguments"] = tuple(values["arguments"])
        values["disks"] = tuple(values["disks"])
        values["disk_sums"] = tuple(FileSum(**value) for value in values.get("disk_sums", ()))
        if len(values["disk_sums"]) not in {0, len(values["disks"])}:
            raise ManifestError(f"{folder}: not every disk has a checksum")
        return ImageManifest(**values)
    except (KeyError, TypeError) as error:
        raise ManifestError(f"{folder}: {error!r}") from error


def read_pause(folder: Path) -> PauseManifest:
    """Raises: ManifestError."""
    values = _read(folder)
    try:
        values["files"] = {name: FileSum(**value) for name, value in values["files"].items()}
        values["layers"] = tuple(values.get("layers", ()))
        return PauseManifest(**values)
    except (AttributeError, KeyError, TypeError) as error:
        raise ManifestError(f"{folder}: {error!r}") from error


def read_snapshot(folder: Path) -> SnapshotManifest:
    """Raises: ManifestError."""
    values = _read(folder)
    try:
        values["files"] = {name: FileSum(**value) for name, value in values["files"].items()}
        values["layers"] = tuple(values["layers"])
        return SnapshotManifest(**values)
    except (AttributeError, KeyError, TypeError) as error:
        raise ManifestError(f"{folder}: {error!r}") from error


def read_layer(folder: Path, name: str) -> LayerManifest:
    """Raises: ManifestError."""
    values = _read(folder, name)
    try:
        values["content"] = FileSum(**values["content"])
        return LayerManifest(**values)
    except (KeyError, TypeError) as error:
        raise ManifestError(f"{folder / name}: {error!r}") from error


def _read(folder: Path, name: str = FILE) -> dict[str, Any]:
    try:
        values = unseal((folder / name).read_bytes())
    except (OSError, ManifestError) as error:
        raise ManifestError(f"{folder}: {error!r}") from error
    if values.get("format") != FORMAT:
        raise ManifestError(f"{folder}: not of format {FORMAT}")
    return values


def seal(values: Mapping[str, object]) -> bytes:
    """A text of them that proves itself."""
    return _text({**values, OWN_SUM: _sum(values)})


def unseal(content: bytes) -> dict[str, Any]:
    """What was sealed. Raises: ManifestError: it is damaged."""
    try:
        values = json.loads(content)
    except ValueError as error:
        raise ManifestError(repr(error)) from error
    if not isinstance(values, dict) or values.pop(OWN_SUM, None) != _sum(values):
        raise ManifestError("damaged")
    return values


def _text(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, indent=1, sort_keys=True).encode()


def _sum(values: Mapping[str, object]) -> str:
    return hashlib.sha256(_text(values)).hexdigest()


def content_id(values: Mapping[str, object]) -> str:
    """A name made from everything that a memory image depends on."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def sum_of_bytes(*parts: bytes | memoryview) -> FileSum:
    """Of a file made of these parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return FileSum(sum(memoryview(part).nbytes for part in parts), digest.hexdigest())


def sum_of_file(path: Path, bytes_max: int | None = None) -> FileSum:
    """Reads the file, at most one chunk beyond `bytes_max`: its size is then more than that. Raises: OSError."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while (bytes_max is None or size <= bytes_max) and (chunk := file.read(CHUNK_BYTES)):
            digest.update(chunk)
            size += len(chunk)
    return FileSum(size, digest.hexdigest())


def check(name: str, expected: FileSum, actual: FileSum) -> None:
    """Raises: ManifestError if they differ."""
    if expected != actual:
        raise ManifestError(f"{name} is not what was saved: {actual.size_bytes} bytes instead of {expected.size_bytes}")


def sync_folder(folder: Path) -> None:
    """Makes names in it durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""The layers of a sandbox's disk: what was frozen of it under a snapshot, shared by it and by whatever began there.

A machine's disk is its overlay, upon layers that nobody writes to any more, upon the disks of its image. `chain.json`
in the machine's folder says which; what was saved of the machine says it again, and headers of qcow2 files are never
believed. A machine without layers that never had any has no note, and an overlay of another name than all others: so a
note that is lost is missed. A layer lives as long as something stands on it (`standing.py`). What it held when it was
frozen is noted beside it (`proofs.py`).
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from agent.drivers.qemu import disks, manifests
from agent.drivers.qemu.disks import OVERLAY
from agent.drivers.qemu.manifests import FileSum, LayerManifest, ManifestError
from agent.drivers.qemu.needs import Needs

NOTE = "chain.json"
SUFFIX = ".qcow2"
SUM_SUFFIX, UNFINISHED_SUFFIX = ".sum", ".new"
READABLE = 0o444
OVERLAY_PREFIX = "overlay-"
_FIELDS = {"overlay", "layers"}
LAYERS_MAX, LAYERS_MOST = 8, 16
"""With so many layers they are brought together before the next one is made (`streaming.py`): each costs QEMU ~1 MB and
every read a look. Where that fails there may be twice as many."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The overlay's name in the machine's folder, and the names of the layers under it, topmost first."""

    overlay: str = OVERLAY
    layers: tuple[str, ...] = ()

    def frozen(self, layer: str, overlay: str) -> "Chain":
        """What it is when its overlay has become a layer."""
        return Chain(overlay, (layer, *self.layers))


def read(machine_dir: Path) -> Chain:
    """A machine's chain; one of the first overlay's name without a note has no layers. Raises: OSError, ValueError: the
    note is damaged, or is missing."""
    try:
        content = (machine_dir / NOTE).read_bytes()
    except FileNotFoundError:
        # An overlay of another name is not used before there is a note. Agents of before could leave one unused.
        others = list(machine_dir.glob(f"{OVERLAY_PREFIX}*"))
        if others and not ((machine_dir / OVERLAY).exists() and all(map(disks.is_untouched, others))):
            raise ValueError(f"{machine_dir / NOTE} is missing") from None
        return Chain()
    try:
        values = json.loads(content)
        if set(values) != _FIELDS:  # those of before were not sealed
            values = manifests.unseal(content)
        return Chain(str(values["overlay"]), tuple(map(str, values["layers"])))
    except (KeyError, TypeError, ManifestError) as error:
        raise ValueError(f"{machine_dir / NOTE}: {error!r}") from error


def write(machine_dir: Path, chain: Chain) -> None:
    """Durable when it returns. Blocks (~5 ms). Raises: OSError; the former note holds then."""
    unfinished = machine_dir / f"{NOTE}.new"
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(manifests.seal(asdict(chain)))
        file.flush()
        os.fsync(fd)
    unfinished.rename(machine_dir / NOTE)
    manifests.sync_folder(machine_dir)


def noted(machine_dir: Path) -> Chain:
    """As `read`; from now on there is a note. To be called before the machine gets another overlay. Raises: as `read`
    and `write`."""
    chain = read(machine_dir)
    if not (machine_dir / NOTE).exists():
        write(machine_dir, chain)
    return chain


def overlay(machine_dir: Path) -> Path:
    """The file that the machine writes to. Raises: as `read`."""
    return machine_dir / read(machine_dir).overlay


def next_overlay() -> str:
    """A name that no overlay has or had: QEMU remembers what it was told of, also when that came to nothing."""
    return f"{OVERLAY_PREFIX}{uuid4().hex[:12]}{SUFFIX}"


def node_of(overlay_name: str) -> str:
    """What QEMU is told to call an overlay that it gets while it runs; the one that it starts with is `disk`."""
    return overlay_name.removesuffix(SUFFIX)


class Layers:
    """All layers of this host, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loose: dict[str, str] = {}
        """Those that may be nobody's, with the image that they lie upon, if that is known: they were made in this life
        and nothing may have come of it, or something let go of them."""

    def open(self) -> None:
        """Makes the folder, and removes notes that were not finished. Raises: OSError."""
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        for path in self._folder.glob(f"*{UNFINISHED_SUFFIX}"):
            path.unlink()

    def path(self, name: str) -> Path:
        """Where a layer lies."""
        return self._folder / name

    def below(self, chain: Chain) -> tuple[Path, ...]:
        """The layers of a machine that is about to start, made readable if an agent was killed before it could.

        Raises: OSError.
        """
        paths = tuple(map(self.path, chain.layers))
        for path in paths:
            if path.stat().st_mode & 0o777 != READABLE:
                _make_readable(path)
        return paths

    def link(self, file: Path) -> str:
        """A name for what a file holds, as a layer: the same blocks, not a copy. Raises: OSError."""
        name = f"{uuid4()}{SUFFIX}"
        self._loose[name] = ""
        self.path(name).hardlink_to(file)
        return name

    def settle(self, name: str) -> None:
        """Nobody writes to it any more: everybody may read it, it belongs to the agent, and it is on the disk. Blocks.
        Raises: OSError."""
        path = self.path(name)
        _make_readable(path)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        manifests.sync_folder(self._folder)

    def sum_of(self, name: str) -> FileSum | None:
        """What a layer held when it was frozen; None if that was not noted. Raises: ManifestError: the note is
        damaged."""
        if not (self._folder / f"{name}{SUM_SUFFIX}").exists():
            return None
        manifest = manifests.read_layer(self._folder, f"{name}{SUM_SUFFIX}")
        if manifest.layer != name:
            raise ManifestError(f"{self.path(name)}: its note is another's")
        return manifest.content

    def write_sum(self, name: str, content: FileSum) -> Path:
        """The note of it, synced, under a name where nobody looks for it. Blocks (~5 ms). Raises: OSError."""
        unfinished = self._folder / f"{name}{SUM_SUFFIX}{UNFINISHED_SUFFIX}"
        manifests.write(self._folder, LayerManifest(name, content), unfinished.name)
        return unfinished

    def publish_sum(self, name: str, unfinished: Path) -> None:
        """It is there from here on, unless its layer is gone. No layer is named or removed meanwhile. Raises: OSError,
        FileNotFoundError among them; nothing is left then."""
        try:
            self.path(name).stat()
            unfinished.rename(self._folder / f"{name}{SUM_SUFFIX}")
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def loosen(self, names: Iterable[str], image: str) -> None:
        """Something that stood on these, upon that image, does so no longer."""
        self._loose.update(dict.fromkeys(names, image))

    def sweep(self, needs: Needs) -> int:
        """Removes those that may be nobody's, and are; how many there were. Raises: OSError."""
        count = 0
        for name, image in tuple(self._loose.items()):
            if not needs.may_need_layer(name, image):
                self.path(name).unlink(missing_ok=True)
                self.path(f"{name}{SUM_SUFFIX}").unlink(missing_ok=True)
                count += 1
            elif name not in needs.layers:
                continue  # in doubt, until another time
            del self._loose[name]
        return count

    def strangers(self, look: Callable[[], Needs]) -> list[Path]:
        """Files that belong to no layer that something stands on, or may, or that is just being made."""
        own = set(self._loose)
        files = sorted(self._folder.iterdir())
        needs = look()  # afterwards: a layer that was made meanwhile is needed by then
        names = {path: _layer_of(path) for path in files}
        return [path for path in files if names[path] not in own and not needs.may_need_layer(names[path])]


def _layer_of(path: Path) -> str:
    """Whose file that is: a layer, or a note of one."""
    return path.name.partition(SUFFIX)[0] + SUFFIX


def _make_readable(path: Path) -> None:
    os.chown(path, os.geteuid(), os.getegid())
    path.chmod(READABLE)

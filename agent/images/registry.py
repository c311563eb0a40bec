"""Which base templates of one's own this host has: a small file each in the agent's data directory.

A template is registered when its disk is complete, so whoever finds it here can use it. The agent looks at each start
of a sandbox; other programs add and remove while it runs.
"""

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.images.names import TEMPLATE_NAME
from agent.images.tools import BuildError

_UNFINISHED = ".unfinished-"


class UnknownTemplate(BuildError):
    """This host has no base template of that name."""


@dataclass(frozen=True, slots=True)
class BaseTemplate:
    """`disk` names the content of its disk, 32 hex digits; `packages` are those that were asked for, without the usual
    ones; `source` is the archive that it was imported from, empty for one that was built. `created_at` is ISO 8601."""

    name: str
    disk: str
    packages: tuple[str, ...]
    source: str
    created_at: str


class Registry:
    """Made for one data directory of an agent. Every method may raise OSError."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "base-templates"

    @property
    def lock(self) -> Path:
        """To be held by whoever adds or removes."""
        return self.folder / "lock"

    def open(self) -> None:
        """Makes the folder. May be repeated."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def stamp(self, name: str) -> tuple[int, int] | None:
        """Changes whenever another template is registered under the name; None: there is none. Takes 10 µs."""
        try:
            found = self._file(name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def get(self, name: str) -> BaseTemplate:
        """Raises: UnknownTemplate. BuildError when its file is damaged."""
        if TEMPLATE_NAME.fullmatch(name) is None:
            raise UnknownTemplate(f"This host has no template named {name!r}.")
        try:
            values = json.loads(self._file(name).read_bytes())
            return BaseTemplate(**{**values, "packages": tuple(values["packages"])})
        except FileNotFoundError as error:
            raise UnknownTemplate(f"This host has no template named {name!r}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise BuildError(
                f"What this host knows of the template {name} is damaged: remove it and make it again.",
                detail=repr(error),
            ) from error

    def all(self) -> list[BaseTemplate]:
        """By name. Raises: BuildError when a file is damaged."""
        return [self.get(file.stem) for file in sorted(self.folder.glob("[a-z0-9]*.json"))]

    def add(self, template: BaseTemplate) -> None:
        """Makes it known, durably. The same content again changes nothing. The lock is held.

        Raises: BuildError when the name has another.
        """
        for stale in self.folder.glob(f"{_UNFINISHED}*"):
            stale.unlink()  # whoever made it is gone
        handle, unfinished = tempfile.mkstemp(prefix=_UNFINISHED, dir=self.folder)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(json.dumps(asdict(template), indent=1, sort_keys=True) + "\n")
                file.flush()
                os.fsync(handle)
            os.link(unfinished, self._file(template.name))
        except FileExistsError as error:
            known = self.get(template.name)
            if known.disk != template.disk:
                raise BuildError(
                    f"There is another template {template.name} on this host: choose another name, or remove it first."
                ) from error
        finally:
            Path(unfinished).unlink()
        self._sync()

    def remove(self, name: str) -> None:
        """Forgets it, durably. May be repeated."""
        with contextlib.suppress(FileNotFoundError):
            self._file(name).unlink()
            self._sync()

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

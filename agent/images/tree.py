"""The names in a root file system, as an archive tells them: what is where, and what leads out of it. Pure."""

import re
from collections.abc import Callable

from agent.images.tools import BuildError

PYTHONS = ("usr/bin/python3", "usr/local/bin/python3")
PYTHON_OLDEST = (3, 10)  # the guest program's tests pass with it
LINKS_MAX = 40  # as Linux follows
_ELF, _X86_64 = b"\x7fELF", 62  # elf(5): e_machine, two bytes at 18
_VERSION = re.compile(r"python(\d+)\.(\d+)$")
_FOLDER = object()


class Tree:
    """Paths have no slash at either end; "" is the root."""

    def __init__(self) -> None:
        # a folder, a link's target, or a file's first bytes; None: a file that cannot be executed
        self._kinds: dict[str, object] = {"": _FOLDER}
        self._implied: set[str] = set()  # folders that have no entry of their own

    def path_of(self, name: str) -> str:
        """Where an entry of this name goes. Raises: BuildError when that is outside, or through a link."""
        if name.startswith("/"):
            raise BuildError(f"The archive has an absolute name: {name!r}. Nothing was unpacked.")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in name:
            raise BuildError(f"The archive has a name that leads out of it: {name!r}. Nothing was unpacked.")
        for end in range(1, len(parts)):
            parent = "/".join(parts[:end])
            if parent not in self._kinds:
                self._kinds[parent] = _FOLDER
                self._implied.add(parent)
            if self._kinds[parent] is not _FOLDER:
                raise BuildError(f"The archive has an entry that lies behind a link or a file: {name!r}.")
        return "/".join(parts)

    def add_folder(self, path: str) -> None:
        """Raises: BuildError when something else is there."""
        self._add(path, _FOLDER, lambda known: known is _FOLDER)
        self._implied.discard(path)

    def add_link(self, path: str, target: str) -> None:
        """A symbolic link; it may lead anywhere, since it is followed in the guest only. Raises: BuildError."""
        self._add(path, target, lambda known: known == target)

    def add_file(self, path: str, head: bytes, *, executable: bool) -> None:
        """A later one replaces it, as in an archive that was added to. Raises: BuildError."""
        self._add(path, head if executable else None, _is_file)

    def add_name(self, path: str, first: str) -> str | None:
        """Another name of a file (a hard link); of a symbolic link, its target is returned.

        Raises: BuildError when that did not come before.
        """
        known = self._kinds.get(first, _FOLDER)
        if isinstance(known, str):
            self.add_link(path, known)
            return known
        if not _is_file(known):
            raise BuildError(f"The archive has a hard link to what is no file in it: {path!r} to {first!r}.")
        self._add(path, known, _is_file)
        return None

    def _add(self, path: str, kind: object, may_replace: Callable[[object], bool]) -> None:
        if path in self._kinds and not may_replace(self._kinds[path]):
            raise BuildError(f"The archive has two different things under one name: {path!r}.")
        self._kinds[path] = kind

    def require_folder(self, path: str) -> bool:
        """Whether it has an entry; raises BuildError when something else is there."""
        if self._kinds.get(path, _FOLDER) is not _FOLDER:
            raise BuildError(f"In the archive, /{path} is no folder, so no machine could run on it.")
        return path in self._kinds and path not in self._implied

    def require_python(self) -> str:
        """Where Python is, as the guest will call it. Raises: BuildError when there is none that can run there."""
        for name in PYTHONS:
            found = self._followed(name)
            head = self._kinds.get(found)
            if isinstance(head, bytes):
                _check_python(found, head)
                return f"/{name}"
        oldest = ".".join(map(str, PYTHON_OLDEST))
        raise BuildError(
            f"The archive has no Python at /{' or /'.join(PYTHONS)}, which the program in the guest needs: add Python "
            f"{oldest} or newer to it (`apt-get install python3`, `apk add python3`). It must be one root file system, "
            "as from `docker export`; `docker save` writes something else."
        )

    def _followed(self, path: str) -> str:
        """The path without links in it."""
        parts, done, links = path.split("/"), "", 0
        while parts:
            part = parts.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            here = f"{done}/{part}".lstrip("/")
            target = self._kinds.get(here)
            if not isinstance(target, str):
                done = here
                continue
            links += 1
            if links > LINKS_MAX:
                return ""
            parts = [*target.split("/"), *parts]
            done = "" if target.startswith("/") else done
        return done


def _is_file(kind: object) -> bool:
    return kind is None or isinstance(kind, bytes)


def _check_python(path: str, head: bytes) -> None:
    if head.startswith(_ELF) and int.from_bytes(head[18:20], "little") != _X86_64:
        raise BuildError(
            "The archive is for another processor: Nestbox runs x86-64 (`docker pull --platform linux/amd64`)."
        )
    version = _VERSION.search(path)
    if version and tuple(map(int, version.groups())) < PYTHON_OLDEST:
        oldest = ".".join(map(str, PYTHON_OLDEST))
        raise BuildError(f"The archive has Python {'.'.join(version.groups())}; the guest needs {oldest} or newer.")

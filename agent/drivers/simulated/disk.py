"""The disk of a simulated machine: a folder on the host that holds contents under hashed names, and an index.

No path of a guest becomes a path of the host. What was written is there after a pause, after a death of the machine and
after a death of the agent, as it is on a real disk.
"""

import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from uuid import uuid4

from agent.drivers.driver import FileInfo, FileReader
from agent.errors import AgentError, Code

CHUNK_BYTES = 32 * 1024

_FOLDERS = frozenset({"/", "/bin", "/etc", "/home", "/root", "/srv", "/tmp", "/usr", "/usr/bin", "/var"})  # noqa: S108


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: int
    modified_ns: int
    size_bytes: int


class Disk:
    """One sandbox's files, by absolute path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index_path = folder / "index.json"
        self._index: dict[str, _Entry] = {}
        if self._index_path.exists():
            written = json.loads(self._index_path.read_text())
            self._index = {path: _Entry(*entry) for path, entry in written.items()}

    def make(self) -> None:
        """Makes its folder."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder; folders are there because something is in them."""
        path = _normal(path)
        return path in _FOLDERS or any(file.startswith(f"{path}/") for file in self._index)

    async def write(self, path: str, mode: int, content: AsyncIterator[bytes]) -> int:
        """As `LiveMachine.write_file`."""
        path = self._require_writable(path)
        unfinished = self._folder / f"unfinished-{uuid4()}"
        try:
            with unfinished.open("wb") as file:
                async for chunk in content:
                    file.write(chunk)
                size_bytes = file.tell()
            self._require_writable(path)
            unfinished.rename(self._content_path(path))
        finally:
            unfinished.unlink(missing_ok=True)
        self._index[path] = _Entry(mode, time.time_ns(), size_bytes)
        self._save_index()
        return size_bytes

    def read(self, path: str, offset_bytes: int, limit_bytes: int) -> FileReader:
        """As `LiveMachine.read_file`."""
        path = _normal(path)
        entry = self._index.get(path)
        if entry is None:
            if self.is_folder(path):
                raise AgentError(Code.NOT_A_FILE, f"{path} is a folder.")
            raise AgentError(Code.NO_SUCH_FILE, f"There is no file {path}.")
        info = FileInfo(entry.size_bytes, entry.mode, entry.modified_ns)
        return FileReader(info, _chunks(self._content_path(path), offset_bytes, limit_bytes))

    def content(self, path: str) -> bytes | None:
        """A whole file, for the commands that read one."""
        return self._content_path(_normal(path)).read_bytes() if _normal(path) in self._index else None

    def put(self, path: str, data: bytes) -> None:
        """Writes a whole file, for the commands that write one."""
        path = self._require_writable(path)
        self._content_path(path).write_bytes(data)
        self._index[path] = _Entry(0o644, time.time_ns(), len(data))
        self._save_index()

    def _require_writable(self, path: str) -> str:
        path = _normal(path)
        if self.is_folder(path):
            raise AgentError(Code.NOT_A_FILE, f"{path} is a folder.")
        for parent in PurePosixPath(path).parents:
            if str(parent) in self._index:
                raise AgentError(Code.NOT_A_FILE, f"{parent} is a file, not a folder.")
        return path

    def _content_path(self, path: str) -> Path:
        return self._folder / hashlib.sha256(path.encode()).hexdigest()

    def _save_index(self) -> None:
        fresh = self._index_path.with_suffix(".new")
        entries = {path: (entry.mode, entry.modified_ns, entry.size_bytes) for path, entry in self._index.items()}
        fresh.write_text(json.dumps(entries))
        fresh.rename(self._index_path)


def _normal(path: str) -> str:
    return os.path.normpath(path).replace("//", "/")


async def _chunks(path: Path, offset_bytes: int, limit_bytes: int) -> AsyncIterator[bytes]:
    left = limit_bytes or None
    with path.open("rb") as file:
        file.seek(offset_bytes)
        while left is None or left > 0:
            chunk = file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not chunk:
                return
            if left is not None:
                left -= len(chunk)
            yield chunk

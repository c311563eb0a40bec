"""The fast part: an initrd with the modules and the guest program. Not compressed, since emulation is slow."""

from pathlib import Path

import agent
from agent.images import recipe

_FOLDERS = ("bin", "dev", "proc", "sys", "mnt", "modules", "guest", "guest/agent", "guest/agent/guest")
_DIRECTORY, _REGULAR = 0o040000, 0o100000


def guest_program() -> dict[str, bytes]:
    """The program as the machine gets it: path below its folder → content."""
    sources = Path(agent.__file__).parent
    program = {"start.py": recipe.START.encode(), "agent/__init__.py": b""}
    for source in sorted((sources / "guest").glob("*.py")):
        program[f"agent/guest/{source.name}"] = source.read_bytes()
    return program


def build(busybox: Path, modules: Path) -> bytes:
    """The archive, in the format that the kernel reads (newc). The same input gives the same bytes."""
    archive = bytearray()
    for number, name in enumerate(_FOLDERS, start=1):
        archive += _entry(number, name, _DIRECTORY | 0o755, b"")
    files = {"init": recipe.INIT.encode(), "bin/busybox": busybox.read_bytes()}
    for module in sorted(modules.iterdir()):
        files[f"modules/{module.name}"] = module.read_bytes()
    for name, content in guest_program().items():
        files[f"guest/{name}"] = content
    for number, (name, content) in enumerate(files.items(), start=len(_FOLDERS) + 1):
        archive += _entry(number, name, _REGULAR | 0o755, content)
    archive += _entry(0, "TRAILER!!!", 0, b"")
    return bytes(archive)


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    """Header, name and content, each padded to four bytes (Documentation/driver-api/early-userspace/buffer-format.rst
    in Linux)."""
    encoded = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name, checksum
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + encoded) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

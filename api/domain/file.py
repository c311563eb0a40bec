"""Files in sandboxes."""

from dataclasses import dataclass
from datetime import datetime

from api.domain.text import check_text
from api.errors import Invalid

PATH_BYTES_MAX = 4096
"""As Linux has it."""
MODE_DEFAULT = 0o644


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A regular file: its whole size, whatever part of it is read, and its permission bits."""

    size_bytes: int
    mode: int
    modified_at: datetime | None


def check_path(path: str) -> str:
    """The path, if a guest can be asked for it.

    Raises:
        Invalid: not absolute, too long, or with a NUL.
    """
    check_text(path, "The path", max_bytes=PATH_BYTES_MAX, min_bytes=1, path=("path",))
    if not path.startswith("/"):
        raise Invalid("The path must be absolute: it has to begin with /.", path=("path",))
    return path


def check_mode(mode: int) -> int:
    """The permission bits of a file to be written.

    Raises:
        Invalid: not within 0 to 0o777.
    """
    if not 0 <= mode <= 0o777:
        raise Invalid("The mode must be permission bits from 0 to 0777 (octal).", path=("mode",))
    return mode

"""What the guest refuses or fails at, as a code of `agent/errors.py` and a sentence."""

import errno

INVALID = "INVALID"
BUSY = "BUSY"
COMMAND_NOT_FOUND = "COMMAND_NOT_FOUND"
COMMAND_NOT_EXECUTABLE = "COMMAND_NOT_EXECUTABLE"
NO_SUCH_DIRECTORY = "NO_SUCH_DIRECTORY"
NO_SUCH_FILE = "NO_SUCH_FILE"
NOT_A_FILE = "NOT_A_FILE"
PERMISSION_DENIED = "PERMISSION_DENIED"
GUEST_DISK_FULL = "GUEST_DISK_FULL"
INTERNAL = "INTERNAL"


class Refusal(Exception):
    """An answer that is not the one asked for."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


_SENTENCES: dict[int, tuple[str, str]] = {
    errno.ENOENT: (NO_SUCH_FILE, "There is no file {0}."),
    errno.ENOTDIR: (NO_SUCH_FILE, "A part of {0} is not a folder."),
    errno.EEXIST: (NOT_A_FILE, "A part of {0} is not a folder."),
    errno.EISDIR: (NOT_A_FILE, "{0} is a folder."),
    errno.ENXIO: (NOT_A_FILE, "{0} is not a regular file."),
    errno.EACCES: (PERMISSION_DENIED, "Access to {0} is not permitted."),
    errno.EPERM: (PERMISSION_DENIED, "Access to {0} is not permitted."),
    errno.EROFS: (PERMISSION_DENIED, "{0} lies in a read-only file system."),
    errno.EBUSY: (PERMISSION_DENIED, "{0} is in use."),
    errno.ETXTBSY: (PERMISSION_DENIED, "{0} is a program that is running."),
    errno.ENAMETOOLONG: (INVALID, "The path, or a name in it, is too long."),
    errno.ELOOP: (INVALID, "{0} leads through too many symbolic links."),
    errno.EINVAL: (INVALID, "{0} is not a usable path."),
    errno.EFBIG: (INVALID, "{0} would become larger than a file can be."),
    errno.ENOSPC: (GUEST_DISK_FULL, "The sandbox has no space left for {0}."),
    errno.EDQUOT: (GUEST_DISK_FULL, "The sandbox has no space left for {0}."),
    errno.ENOMEM: (BUSY, "The sandbox is out of memory."),
    errno.EAGAIN: (BUSY, "The sandbox has too many processes."),
    errno.EMFILE: (BUSY, "The sandbox's agent has too many open files."),
    errno.ENFILE: (BUSY, "The sandbox has too many open files."),
}


def of_os_error(error: OSError, path: bytes) -> Refusal:
    """The refusal that says what the kernel said about `path`."""
    shown = path[:256].decode("utf-8", "replace")
    code, sentence = _SENTENCES.get(error.errno or 0, (INTERNAL, "{0}: " + (error.strerror or "unknown error") + "."))
    return Refusal(code, sentence.replace("{0}", shown))

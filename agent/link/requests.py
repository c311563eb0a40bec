"""Requests as bodies of frames. What a guest could only refuse is refused here, before anything is sent."""

from dataclasses import dataclass, field

from agent.drivers.driver import Command
from agent.errors import AgentError, Code
from agent.guest import wire

PATH_BYTES_MAX = 4096
TIMEOUT_MS_MAX = 0xFFFFFFFF
ENTROPY_BYTES_MAX = 512


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a machine is to be. `machine_id` is 32 hex digits; `entropy` at most 512 bytes."""

    sandbox_id: str
    hostname: str
    machine_id: str
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    entropy: bytes = field(default=b"", repr=False)
    unix_ns: int = 0


def identity(who: Identity) -> bytes:
    """The body of `IDENTIFY`. Raises: AgentError INVALID."""
    if len(who.entropy) > ENTROPY_BYTES_MAX:
        raise AgentError(Code.INVALID, f"At most {ENTROPY_BYTES_MAX} bytes of entropy are taken.")
    fields = [
        _text(who.sandbox_id, "The sandbox id"),
        _text(who.hostname, "The hostname"),
        _text(who.machine_id, "The machine id"),
        *_variables(who.environment),
    ]
    return _bounded(wire.IDENTITY.pack(who.unix_ns, len(who.entropy)) + who.entropy + b"\0".join(fields))


def command(what: Command) -> bytes:
    """The body of `EXEC`. Raises: AgentError INVALID, COMMAND_NOT_FOUND, NO_SUCH_DIRECTORY."""
    if not what.argv:
        raise AgentError(Code.INVALID, "A command needs at least a program's name.")
    if not what.argv[0]:
        raise AgentError(Code.COMMAND_NOT_FOUND, "The program's name is empty.")
    if what.cwd and not what.cwd.startswith("/"):
        raise AgentError(Code.INVALID, "The working directory must be an absolute path.")
    if not 0 <= what.timeout_ms <= TIMEOUT_MS_MAX:
        raise AgentError(Code.INVALID, f"The timeout must be between 0 and {TIMEOUT_MS_MAX} ms.")
    argv = [_text(argument, "An argument") for argument in what.argv]
    fields = [_text(what.cwd, "The working directory"), *argv, *_variables(what.environment)]
    return _bounded(wire.COMMAND.pack(what.timeout_ms, len(argv)) + b"\0".join(fields))


def write(path: str, mode: int) -> bytes:
    """The body of `WRITE`. Raises: AgentError INVALID."""
    if not 0 <= mode <= 0o7777:
        raise AgentError(Code.INVALID, "The mode must be permission bits between 0 and 0o7777.")
    return wire.WRITE_HEAD.pack(mode) + _path(path)


def read(path: str, offset_bytes: int, limit_bytes: int) -> bytes:
    """The body of `READ`. Raises: AgentError INVALID."""
    if not (0 <= offset_bytes < 1 << 63 and 0 <= limit_bytes < 1 << 63):
        raise AgentError(Code.INVALID, "Offset and limit must be between 0 and 2^63 - 1.")
    return wire.READ_HEAD.pack(offset_bytes, limit_bytes) + _path(path)


def _text(value: str, name: str) -> bytes:
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise AgentError(Code.INVALID, f"{name} is not valid Unicode.") from None
    if b"\0" in encoded:
        raise AgentError(Code.INVALID, f"{name} contains a zero byte.")
    return encoded


def _path(path: str) -> bytes:
    encoded = _text(path, "The path")
    if not path.startswith("/"):
        raise AgentError(Code.INVALID, "The path must be absolute.")
    if len(encoded) >= PATH_BYTES_MAX:
        raise AgentError(Code.INVALID, f"The path must be shorter than {PATH_BYTES_MAX} bytes.")
    return encoded


def _variables(environment: dict[str, str]) -> list[bytes]:
    entries = []
    for name, value in environment.items():
        if not name or "=" in name:
            raise AgentError(Code.INVALID, "The name of a variable must not be empty or contain '='.")
        entries.append(_text(name, "The name of a variable") + b"=" + _text(value, "The value of a variable"))
    return entries


def _bounded(body: bytes) -> bytes:
    if len(body) > wire.REQUEST_BYTES_MAX:
        raise AgentError(Code.INVALID, "Arguments and environment are too long (about 2 MiB, 128 KiB each).")
    return body

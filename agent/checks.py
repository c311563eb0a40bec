"""What callers may send: every limit has a name here, and every refusal a sentence."""

import re
from collections.abc import Iterable, Mapping
from uuid import UUID

from agent.errors import AgentError, Code

GENERATION_MAX = 2**63 - 1  # what the ledger can hold
VCPUS_MAX = 64
MEMORY_MB_MAX = 1024 * 1024  # 1 TiB
DISK_SIZE_MB_MAX = 4 * 1024 * 1024  # 4 TiB, which a file system grows to in ~20 s under TCG; 16 TiB took over 5 min
TIMEOUT_SEC_MAX = 2**31 - 1
FILE_BYTES_MAX = 2**63 - 1  # Linux: off_t

ARGUMENT_BYTES_MAX = 128 * 1024 - 1  # what Linux lets a single argument be (MAX_ARG_STRLEN), less its end
ARGUMENTS_MAX = 4096
COMMAND_BYTES_MAX = 512 * 1024  # arguments and environment together; Linux would take 2 MiB
ENVIRONMENT_BYTES_MAX = 64 * 1024  # of a sandbox; it is sent to the guest in one piece
ENVIRONMENT_NAMES_MAX = 1024
PATH_BYTES_MAX = 4095  # Linux: PATH_MAX, less its end
NAME_BYTES_MAX = 255  # Linux: NAME_MAX
CHILDREN_MAX = 100  # of one fork
CHUNK_BYTES_MAX = 1024 * 1024  # of input or of a file, in one message

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_WIRE_ID = re.compile(rf"([a-z]{{2,5}})-({_UUID.pattern})")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_TEMPLATE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def invalid(message: str) -> AgentError:
    """The answer to input that can never be right."""
    return AgentError(Code.INVALID, message)


def parse_id(prefix: str, text: str) -> UUID:
    """The UUID in a wire id, such as `sb-<uuid>`. Raises: AgentError INVALID."""
    match = _WIRE_ID.fullmatch(text)
    if match is None or match[1] != prefix:
        raise invalid(f"An id of the form {prefix}-<uuid> is wanted.")
    return UUID(match[2])


def uuid(name: str, text: str) -> UUID:
    """A bare UUID. Raises: AgentError INVALID."""
    if _UUID.fullmatch(text) is None:
        raise invalid(f"{name} must be a UUID.")
    return UUID(text)


def within(name: str, value: int, least: int, most: int) -> int:
    """A number in its limits. Raises: AgentError INVALID."""
    if not least <= value <= most:
        raise invalid(f"{name} must be from {least} to {most}.")
    return value


def template_name(text: str) -> str:
    """The name of a template. Raises: AgentError INVALID."""
    if _TEMPLATE_NAME.fullmatch(text) is None:
        raise invalid("A template's name is of lower-case letters, digits, dots, dashes and underscores, 63 at most.")
    return text


def environment(variables: Mapping[str, str], *, bytes_max: int = ENVIRONMENT_BYTES_MAX) -> dict[str, str]:
    """Environment variables. Values may hold anything but NUL. Raises: AgentError INVALID."""
    if len(variables) > ENVIRONMENT_NAMES_MAX:
        raise invalid(f"At most {ENVIRONMENT_NAMES_MAX} environment variables can be given.")
    for name, value in variables.items():
        if _ENVIRONMENT_NAME.fullmatch(name) is None:
            raise invalid("Names of environment variables are of letters, digits and underscores.")
        if "\0" in value:
            raise invalid(f"The environment variable {name} holds a NUL character.")
    if _size(variables) + _size(variables.values()) > bytes_max:
        raise invalid(f"The environment is larger than {bytes_max} bytes.")
    return dict(variables)


def arguments(argv: Iterable[str]) -> tuple[str, ...]:
    """A command and its arguments. Raises: AgentError INVALID."""
    checked = tuple(argv)
    if not checked or not checked[0]:
        raise invalid("A command is wanted: argv is empty.")
    if len(checked) > ARGUMENTS_MAX:
        raise invalid(f"At most {ARGUMENTS_MAX} arguments can be given.")
    if any("\0" in argument for argument in checked):
        raise invalid("An argument holds a NUL character.")
    if any(len(argument.encode()) > ARGUMENT_BYTES_MAX for argument in checked):
        raise invalid(f"An argument is longer than {ARGUMENT_BYTES_MAX} bytes.")
    if _size(checked) > COMMAND_BYTES_MAX:
        raise invalid(f"The arguments are longer than {COMMAND_BYTES_MAX} bytes together.")
    return checked


def path(text: str) -> str:
    """An absolute path in a guest; `..` is the guest's business. Raises: AgentError INVALID."""
    if not text.startswith("/"):
        raise invalid("An absolute path is wanted: it starts with a slash.")
    if "\0" in text:
        raise invalid("The path holds a NUL character.")
    if len(text.encode()) > PATH_BYTES_MAX:
        raise invalid(f"The path is longer than {PATH_BYTES_MAX} bytes.")
    if any(len(name.encode()) > NAME_BYTES_MAX for name in text.split("/")):
        raise invalid(f"A name in the path is longer than {NAME_BYTES_MAX} bytes.")
    return text


def chunk(data: bytes) -> bytes:
    """A piece of input or of a file. Raises: AgentError INVALID."""
    if len(data) > CHUNK_BYTES_MAX:
        raise invalid(f"Send at most {CHUNK_BYTES_MAX} bytes in one message.")
    return data


def _size(texts: Iterable[str]) -> int:
    return sum(len(text.encode()) + 1 for text in texts)

"""Environment variables of sandboxes and commands."""

import re

from api.domain.text import check_text
from api.errors import Invalid

VARIABLES_MAX = 256
"""Variables of one sandbox or command."""
VALUE_BYTES_MAX = 32 * 1024
"""One value."""
TOTAL_BYTES_MAX = 128 * 1024
"""All names and values together: what an `execve` in the guest takes with room to spare."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def check_environment(variables: tuple[tuple[str, str], ...], *, path: tuple[str, ...]) -> dict[str, str]:
    """The variables by name.

    Raises:
        Invalid: too many, too large, twice the same name, or a name or value that no environment can hold.
    """
    if len(variables) > VARIABLES_MAX:
        raise Invalid(f"At most {VARIABLES_MAX} environment variables are accepted.", path=path)
    environment: dict[str, str] = {}
    total_bytes = 0
    for index, (name, value) in enumerate(variables):
        here = (*path, str(index))
        if _NAME.fullmatch(name) is None:
            raise Invalid(
                "The name of an environment variable is made of letters, digits and underscores, does not begin with a "
                "digit, and has at most 128 characters.",
                path=(*here, "name"),
            )
        if name in environment:
            raise Invalid(f"The environment variable {name} is given twice.", path=(*here, "name"))
        check_text(value, f"The value of {name}", max_bytes=VALUE_BYTES_MAX, path=(*here, "value"))
        total_bytes += len(name) + len(value.encode())
        environment[name] = value
    if total_bytes > TOTAL_BYTES_MAX:
        raise Invalid(
            f"The environment is too large: {total_bytes:,} bytes, at most {TOTAL_BYTES_MAX:,} are accepted.", path=path
        )
    return environment

"""What templates and packages may be called. Standard library only, as all of this package."""

import re
from collections.abc import Iterable

from agent.images.recipe import NAME
from agent.images.tools import BuildError

PACKAGES_MAX = 200  # what people list by hand; each is an argument of apt-get
TEMPLATE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# Debian policy 5.6.7; apt-get would take a name with a minus at its end as one to remove
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]")


def check_template_name(name: str) -> str:
    """The name, if a template of one's own may have it. It is also the name of a file. Raises: BuildError."""
    if TEMPLATE_NAME.fullmatch(name) is None:
        raise BuildError(
            f"A template cannot be called {name[:80]!r}: a name has 1 to 63 lower-case letters, digits, dots, hyphens "
            "and underscores, a letter or a digit first."
        )
    if name == NAME:
        raise BuildError(f"The template {NAME} is built in and cannot be replaced: choose another name.")
    return name


def check_packages(names: Iterable[str]) -> tuple[str, ...]:
    """The names, sorted and once each, if Debian packages can be called so.

    Raises: BuildError that names the others.
    """
    given = tuple(sorted(set(names)))
    wrong = [name for name in given if _PACKAGE.fullmatch(name) is None]
    if wrong:
        shown = ", ".join(repr(name[:80]) for name in wrong[:10])
        raise BuildError(
            f"No Debian package is called {shown}: names are lower-case letters, digits, plus, minus and dots."
        )
    if len(given) > PACKAGES_MAX:
        raise BuildError(f"{len(given)} packages are too many at once: {PACKAGES_MAX} at most.")
    return given

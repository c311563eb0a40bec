"""Templates: what sandboxes start from."""

from enum import StrEnum


class TemplateType(StrEnum):
    """How a template can be used."""

    BASE = "base"
    """A disk that boots: any shape."""
    SNAPSHOT = "snapshot"
    """A memory image: the shape is fixed."""


DEFAULT_TEMPLATE = "base"
"""The platform's template, which every host builds for itself."""

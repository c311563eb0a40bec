"""What the benchmark takes from its environment."""

import os
from collections.abc import Mapping
from pathlib import Path

POOL_OFF = {"NESTBOX_AGENT_POOL_MAX": "0"}
"""For a platform whose every sandbox is cloned when it is asked for."""


def environment() -> Mapping[str, str]:
    """NESTBOX_URL and NESTBOX_API_KEY name a platform on this computer; the rest is handed on to one of our own."""
    return os.environ


def cache_directory() -> Path:
    """Where the base image is kept between runs, the same as the agent's."""
    given = os.environ.get("NESTBOX_CACHE_DIR")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nestbox"

"""The named steps of both sides, as far as the platform has a way to them."""

import importlib.util
from pathlib import Path

_SCHEMA = (Path(__file__).parents[2] / "schema.graphql").read_text()
_NEEDS = {
    "start": "startSandbox(",
    "auto_pause": "setSandboxTimeout(",
    "set_timeout": "setSandboxTimeout(",
    "create_template": "createTemplate(",
    "snapshot": "createTemplate(",
    "build_template": "createTemplate(",
    "fork": "forkSandbox(",
    "delete_template": "deleteTemplate(",
}
"""By command: what of the API brings a client to it."""


def _api_points() -> tuple[str, ...]:
    if importlib.util.find_spec("api.faults") is None:
        return ()
    points: tuple[str, ...] = tuple(sorted(importlib.import_module("api.faults").POINTS))
    return points


API_POINTS = _api_points()


def is_offered(point: str) -> bool:
    """Whether clients can bring the platform to this point."""
    return _NEEDS.get(point.split(".")[1], "") in _SCHEMA

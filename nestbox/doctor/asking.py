"""Asking a program of the project that runs apart, since the doctor itself needs nothing that is installed."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nestbox.settings import PROJECT_ROOT


class SaidNothingError(Exception):
    """It did not answer with JSON. The text is its last line beside the answer, which may be empty."""


def answer_of(python: Path, arguments: Sequence[str], deadline_seconds: float) -> Any:
    """The JSON that it prints.

    Raises: subprocess.TimeoutExpired; SaidNothingError.
    """
    done = subprocess.run(
        [python, *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=deadline_seconds, check=False
    )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise SaidNothingError((done.stderr.strip().splitlines() or [""])[-1]) from error

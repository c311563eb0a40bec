"""npm in `frontend/`, with the Node.js that the set-up chose: for checks and generators."""

import subprocess
from collections.abc import Mapping, Sequence

from nestbox.settings import PROJECT_ROOT
from nestbox.setup.environment import Environment
from nestbox.setup.frontend import node_folder, system_has_node


def run_npm(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs `npm WORDS`; returns its exit status.

    Raises: Problem when there is no Node.js.
    """
    variables = dict(environment)
    if not system_has_node():
        variables["PATH"] = f"{node_folder(Environment(PROJECT_ROOT))}:{variables.get('PATH', '')}"
    command = ["npm", "--silent", *words]
    return subprocess.run(command, cwd=PROJECT_ROOT / "frontend", env=variables, check=False).returncode

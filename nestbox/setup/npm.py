"""`python -m nestbox.setup.npm WORDS`: runs npm in `frontend/`, with the Node.js that the set-up chose."""

import os
import subprocess
import sys

from nestbox.settings import PROJECT_ROOT
from nestbox.setup.environment import Environment
from nestbox.setup.frontend import node_folder, system_has_node


def main() -> int:
    """Returns npm's exit status."""
    variables = dict(os.environ)
    if not system_has_node():
        variables["PATH"] = f"{node_folder(Environment(PROJECT_ROOT))}:{variables.get('PATH', '')}"
    words = ["npm", "--silent", *sys.argv[1:]]
    return subprocess.run(words, cwd=PROJECT_ROOT / "frontend", env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

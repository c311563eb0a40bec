"""The virtual environment: exactly what the lock files say, proved by hashes."""

import sys
from pathlib import Path

from nestbox.errors import Problem
from nestbox.setup.command import CommandFailed, Commands
from nestbox.setup.stamp import Stamp, digest

STEP = "python"
LOCK = "requirements.lock"
LOCK_DEVELOPMENT = "requirements-dev.lock"
LOCK_NODE = "requirements-node.lock"
_PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--timeout=60", "--retries=5")


class Environment:
    """`.venv` below the project's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin/python"
        self.stamp = Stamp(self.folder / "nestbox-setup.json")

    def key(self, lock: str) -> str:
        """What the environment is made from: the lock, the project's own description, this Python, this place."""
        return digest(self.root, [lock, "pyproject.toml"], sys.version, sys.base_prefix, str(self.root))

    def is_ready(self, *, development: bool) -> bool:
        """Whether nothing has to be done."""
        if not (self.python.exists() and (self.folder / "bin/nestbox").exists()):
            return False
        kinds = {"development": LOCK_DEVELOPMENT} if development else {"runtime": LOCK}
        return all(self.stamp.says(kind, self.key(lock)) for kind, lock in kinds.items())

    def make(self, commands: Commands, *, development: bool) -> None:
        """Creates or completes the environment. A run that was cut short is repeated by the next.

        Raises: Problem when packages cannot be had, or are not what the lock says.
        """
        # The development lock holds everything of the other one: an environment that has it keeps it.
        keep_development = development or self.stamp.says("development", self.key(LOCK_DEVELOPMENT))
        lock = LOCK_DEVELOPMENT if keep_development else LOCK
        self.stamp.clear()
        clear = [] if self._is_of_this_python() else ["--clear"]
        commands.run(STEP, [sys.executable, "-m", "venv", *clear, str(self.folder)])
        commands.progress.say(STEP, f"installing what {lock} names, checked by hash")
        self.install_lock(commands, STEP, lock)
        commands.run(
            STEP,
            [str(self.python), *_PIP, "install", "--no-build-isolation", "--no-deps", "--editable", str(self.root)],
        )
        keys = {"runtime": self.key(LOCK)}
        if keep_development:
            keys["development"] = self.key(LOCK_DEVELOPMENT)
        self.stamp.set(**keys)

    def install_lock(self, commands: Commands, step: str, lock: str) -> None:
        """Installs what `lock` names into the environment.

        Raises: Problem
        """
        # Without compiling: Python does that for what is used when it is used, which is a small part. Without looking
        # for dependencies: the lock names them all.
        options = ("--require-hashes", "--no-deps", "--no-compile", "--only-binary=:all:", "--progress-bar=off")
        try:
            commands.run(step, [str(self.python), *_PIP, "install", *options, "-r", lock])
        except CommandFailed as error:
            raise Problem(
                f"The Python packages of {lock} could not be installed.\n  {error.message}",
                "Check the network and the package index that pip is configured for (`pip config list`), then repeat.",
            ) from error

    def _is_of_this_python(self) -> bool:
        try:
            text = (self.folder / "pyvenv.cfg").read_text()
        except OSError:
            return False
        version = ".".join(str(number) for number in sys.version_info[:3])
        return self.python.exists() and f"version = {version}\n" in text

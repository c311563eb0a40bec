"""The base image and its memory image: built by the agent's own command lines, since the agent uses them.

The base image takes longest of everything, and no more than the standard library: it is built while the rest is
installed. The memory image comes from a machine that the agent starts, so it takes the agent's environment.
"""

import subprocess
import sys

from nestbox.data_dir import prepare_data_dir
from nestbox.errors import Problem
from nestbox.settings import Settings
from nestbox.setup.command import CommandFailed, Commands
from nestbox.setup.environment import Environment
from nestbox.setup.stamp import Stamp, digest

STEP = "image"
MEMORY_STEP = "memory"
# The exit status of the agent's commands when another agent uses the data directory.
IN_USE = 3


class Image:
    """What machines start from, in the data directory."""

    def __init__(self, environment: Environment, settings: Settings) -> None:
        self.environment = environment
        self.settings = settings
        # Beside the images: an empty data directory needs them again.
        self.stamp = Stamp(settings.data_dir / "agent/images/nestbox-setup.json")

    def key(self) -> str:
        """What the images are made from. The agent itself knows better; this only saves asking it."""
        qemu = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${Version}", "qemu-system-x86"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return digest(self.environment.root, ["agent"], qemu)

    def is_ready(self) -> bool:
        """Whether nothing has to be done."""
        return self.stamp.says("image", self.key())

    def make_base(self, commands: Commands) -> None:
        """Builds the base image unless the cache has it. A platform that runs meanwhile does not notice.

        Raises: Problem
        """
        prepare_data_dir(self.settings.data_dir)
        folders = [str(self.settings.cache_dir), str(self.settings.data_dir / "agent")]
        try:
            commands.run(STEP, [sys.executable, "-m", "agent.images", "base", *folders], echo=True)
        except CommandFailed as error:
            raise Problem(
                f"The base image could not be built.\n  {error.message}",
                "It needs the Debian archive that apt is configured for, and some 2 GB of disk; `nestbox doctor` "
                "says more.",
            ) from error

    def make_memory(self, commands: Commands) -> None:
        """Makes the memory image, from the base image that is there. While a platform runs on the data directory, that
        is left to its next start, and the next set-up asks again.

        Raises: Problem
        """
        variables = {
            "NESTBOX_AGENT_DATA_DIR": str(self.settings.data_dir / "agent"),
            "NESTBOX_CACHE_DIR": str(self.settings.cache_dir),
            "PYTHONUNBUFFERED": "1",
        }
        try:
            commands.run(
                MEMORY_STEP,
                [str(self.environment.python), "-m", "agent", "build-image"],
                variables=variables,
                echo=True,
            )
        except CommandFailed as error:
            if error.returncode == IN_USE:
                commands.progress.say(
                    MEMORY_STEP, "the running platform keeps its image; its next start prepares the new one"
                )
                return
            raise Problem(
                f"The memory image could not be made.\n  {error.message}",
                "It starts a machine: `nestbox doctor` says what keeps machines from running here.",
            ) from error
        self.stamp.set(image=self.key())

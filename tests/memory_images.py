"""The memory image of the usual shape: booted once in a run, for all tests that need one but do not test its making.

Images are named by what they are made of, and nobody writes to one that is complete: so those who take one link it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from agent.drivers.qemu import manifests
from agent.drivers.qemu.images import UNFINISHED
from agent.images.build import link_or_copy

FOLDER = "memory-images"
"""Below the data directory of an agent."""
_ROOT = Path(__file__).parents[1]
_MAKE_SECONDS = 900  # a computer with nothing in its cache builds the base image first


def make(folder: Path, cache_dir: Path) -> None:
    """Boots a template with the agent's own command and keeps its image in `folder`."""
    # not below pytest's folders, which are closed to the users that machines run as
    data_dir = Path(tempfile.mkdtemp(prefix="nestbox-test-", dir="/var/tmp"))
    try:
        data_dir.chmod(0o711)
        settings = {"NESTBOX_AGENT_DATA_DIR": str(data_dir), "NESTBOX_CACHE_DIR": str(cache_dir)}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NESTBOX_")}
        command = [sys.executable, "-m", "agent", "build-image"]
        subprocess.run(command, cwd=_ROOT, env=environment | settings, timeout=_MAKE_SECONDS, check=True)
        take(data_dir / FOLDER, folder)
    finally:
        shutil.rmtree(data_dir)


def take(source: Path, target: Path) -> None:
    """Gives a folder the images of another one."""
    for manifest in source.glob(f"*/{manifests.FILE}"):
        name = manifest.parent.name
        if not name.startswith(UNFINISHED) and not (target / name).exists():
            target.mkdir(mode=0o711, parents=True, exist_ok=True)
            shutil.copytree(manifest.parent, target / name, copy_function=_link)


def _link(source: str, target: str) -> None:
    link_or_copy(Path(source), Path(target))

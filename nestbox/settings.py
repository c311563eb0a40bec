"""What the environment says about this installation, read once. Standard library only: the set-up needs it too."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nestbox.errors import Problem

API_PORT = 7300
AGENT_PORT = 7301
PROJECT_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things lie and which ports they have, before options of the command line."""

    data_dir: Path
    cache_dir: Path
    api_host: str
    api_port: int
    # `host:port` that the agent listens on.
    agent_address: str
    driver: str
    # A PostgreSQL of the user's own instead of the embedded one.
    database_url: str | None
    # The same database as the role that owns its tables, to migrate with; without it, `database_url` is that role's.
    database_owner_url: str | None


def read_settings(environment: Mapping[str, str], *, root: bool, home: Path) -> Settings:
    """Settings from `environment`. `root` says whether the platform runs as root, `home` is the user's folder.

    Raises: Problem when a value makes no sense.
    """
    data_home = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    cache_home = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    # Not below /root: that is closed to the accounts that PostgreSQL and the machines run as.
    data_dir = Path("/var/lib/nestbox") if root else data_home / "nestbox"
    return Settings(
        data_dir=Path(environment.get("NESTBOX_DATA_DIR") or data_dir).absolute(),
        cache_dir=Path(environment.get("NESTBOX_CACHE_DIR") or cache_home / "nestbox").absolute(),
        api_host=environment.get("NESTBOX_API_HOST") or "127.0.0.1",
        api_port=_port(environment, "NESTBOX_API_PORT", API_PORT),
        agent_address=environment.get("NESTBOX_AGENT_ADDRESS") or f"127.0.0.1:{AGENT_PORT}",
        driver=environment.get("NESTBOX_AGENT_DRIVER") or "qemu",
        database_url=environment.get("DATABASE_URL") or None,
        database_owner_url=environment.get("DATABASE_OWNER_URL") or None,
    )


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Problem(f"{name} is {text!r}, which is not a port.", "Give it a number from 1 to 65535, or unset it.")
    return int(text)

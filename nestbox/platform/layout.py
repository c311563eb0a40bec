"""What the programs of the platform are, and what each of them is told."""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nestbox.database import postgres_folder
from nestbox.settings import PROJECT_ROOT, Settings

# Whoever has them is in the database: each program is told only those that it needs.
_NOT_FOR_ALL = frozenset({"DATABASE_URL", "DATABASE_OWNER_URL"})


@dataclass(frozen=True, slots=True)
class Layout:
    """Commands, environments and files; `inherited` is the environment of this process."""

    settings: Settings
    inherited: Mapping[str, str]

    @property
    def root(self) -> Path:
        """The folder that the programs run in."""
        return PROJECT_ROOT

    @property
    def api_url(self) -> str:
        """Where people reach the API: the dashboard is at its root."""
        host = self.settings.api_host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.settings.api_port}"

    @property
    def token_file(self) -> Path:
        """What the API shows to the agent."""
        return self.settings.data_dir / "agent/token"

    @property
    def first_key_marker(self) -> Path:
        """There once the first API key was shown. An empty database gets a new one."""
        return self._beside_database / "first-key-shown"

    @property
    def migrated_marker(self) -> Path:
        """Holds what the database was migrated with."""
        return self._beside_database / "migrated.json"

    @property
    def _beside_database(self) -> Path:
        """A folder that goes when the database does, as far as that can be said."""
        settings = self.settings
        return settings.data_dir / "api" if settings.database_url else postgres_folder(settings.data_dir)

    def log(self, name: str) -> Path:
        """The log file of a program."""
        return self.settings.data_dir / "logs" / f"{name}.log"

    def agent_command(self) -> list[str]:
        """Runs the host agent."""
        return [sys.executable, "-m", "agent"]

    def agent_environment(self) -> dict[str, str]:
        """What the agent needs to know."""
        return {
            **self._told_to_all,
            "NESTBOX_AGENT_ADDRESS": self.settings.agent_address,
            "NESTBOX_AGENT_DATA_DIR": str(self.settings.data_dir / "agent"),
            "NESTBOX_AGENT_TOKEN_FILE": str(self.token_file),
            "NESTBOX_AGENT_DRIVER": self.settings.driver,
            "NESTBOX_CACHE_DIR": str(self.settings.cache_dir),
        }

    def images_command(self, command: str, *words: str) -> list[str]:
        """Makes, lists or removes base images of this host."""
        folders = [str(self.settings.cache_dir), str(self.settings.data_dir / "agent")]
        return [sys.executable, "-m", "agent.images", command, *folders, "--", *words]

    def api_command(self, *words: str) -> list[str]:
        """Runs the API, or one of its commands."""
        return [sys.executable, "-m", "api", *words]

    @property
    def _told_to_all(self) -> dict[str, str]:
        return {name: value for name, value in self.inherited.items() if name not in _NOT_FOR_ALL}

    def api_environment(self, database_url: str, owner_url: str = "") -> dict[str, str]:
        """What the API needs to know. `owner_url` is for the command that migrates; who serves is not told it."""
        return {
            **self._told_to_all,
            "DATABASE_URL": database_url,
            **({"DATABASE_OWNER_URL": owner_url} if owner_url else {}),
            "NESTBOX_API_HOST": self.settings.api_host,
            "NESTBOX_API_PORT": str(self.settings.api_port),
            "NESTBOX_HOSTS": self.settings.agent_address,
            "NESTBOX_AGENT_TOKEN_FILE": str(self.token_file),
            "NESTBOX_AUTHORITY_DIR": str(self.settings.data_dir / "authority"),
            "NESTBOX_DASHBOARD_DIR": str(self.root / "frontend/dist"),
        }

    def ensure_token(self) -> None:
        """Makes the agent's token unless there is one."""
        if not self.token_file.exists() or not self.token_file.read_text().strip():
            self.token_file.touch(mode=0o600)
            self.token_file.chmod(0o600)
            self.token_file.write_text(secrets.token_urlsafe(32) + "\n")

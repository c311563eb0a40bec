"""The settings of the control plane, read once in `api/__main__.py`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """Each comes from the environment variable of its name with `NESTBOX_` before it, but for `DATABASE_URL`."""

    model_config = SettingsConfigDict(env_prefix="NESTBOX_", frozen=True, extra="ignore")

    api_host: str = "127.0.0.1"
    """The address to listen on. Anything but loopback needs TLS in front of it."""
    api_port: int = Field(default=7300, ge=1, le=65535)
    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    """`postgresql://…`; it may hold a password."""
    hosts: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.1:7301",)
    """`host:port` of each agent, separated by commas."""
    agent_token_file: Path | None = None
    """Holds the secret that agents ask for; never sent to clients."""
    authority_dir: Path | None = None
    """Holds the cluster's certificate authority, which is made there if there is none. Without it no host can join. All
    replicas need the same."""
    dashboard_dir: Path = Path("frontend/dist")
    """The built dashboard. Where it is missing, a page says how to build it."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins beside our own whose pages may open WebSockets, separated by commas: `https://example.org`."""
    log_level: str = "info"
    event_retention_days: int = Field(default=30, ge=1, le=3650)
    """How long lines of the event log are kept."""
    api_faults: dict[str, str] = {}
    """For tests only: where this replica is to fail, as JSON (`api/faults.py`)."""

    @field_validator("hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

    def agent_token(self) -> str:
        """The secret for agents; empty without a file. Raises: OSError when the file cannot be read."""
        return "" if self.agent_token_file is None else self.agent_token_file.read_text().strip()

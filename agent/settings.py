"""What can be set about an agent, by environment variables."""

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.faults import POINTS, Kind


def _default_cache_dir() -> Path:
    return Path("~/.cache/nestbox").expanduser()


class Settings(BaseSettings):
    """Read once, in `agent/__main__.py`; `NESTBOX_AGENT_` before each name, in capitals."""

    model_config = SettingsConfigDict(env_prefix="NESTBOX_AGENT_", frozen=True, extra="ignore", populate_by_name=True)

    address: str = "127.0.0.1:7301"
    """`ip:port` to listen on, on loopback unless this host has joined a control plane. IPv6 addresses stand in
    brackets."""
    data_dir: Path = Path("/var/lib/nestbox/agent")
    """Everything that the agent keeps."""
    token_file: Path | None = None
    """Holds the token that callers must give; made if it is not there. None: `token` in the data directory."""
    driver: Literal["qemu", "simulated"] = "qemu"
    """`simulated` runs no code at all: for tests of everything above it."""
    simulated_latency_ms: int = Field(default=0, ge=0, le=60_000)
    """How long each stage of a simulated machine takes."""
    cache_dir: Path = Field(default_factory=_default_cache_dir, validation_alias="NESTBOX_CACHE_DIR")
    """Where base images are kept between data directories."""
    pool_max: int = Field(default=8, ge=0, le=1000)
    """How many clones may stand ready for sandboxes that are still to come; each takes ~60 MB. 0: none."""
    disk_mb_per_second: int = Field(default=125, ge=0, le=1_000_000)
    """How many MiB each sandbox may read and write on its disk in a second, on average: those of ten seconds may come
    at once. 0: as fast as it goes."""
    disk_operations_per_second: int = Field(default=3000, ge=0, le=10_000_000)
    """How often it may do so, likewise."""
    garbage_kept_seconds: int = Field(default=24 * 3600, ge=0, le=10 * 365 * 24 * 3600)
    """How long files that belong to nothing stay in `quarantine` in the data directory before they are removed."""
    host_name: str = ""
    """What people call this host; empty: the computer's name."""
    faults: dict[str, Kind] = Field(default_factory=dict)
    """For tests only: where the agent is to fail, and how (`agent/faults.py`)."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for people on a terminal, else JSON."""

    @field_validator("data_dir", "cache_dir", "token_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """QEMU's jail, the ledger and the images must mean the same path."""
        return None if path is None else path.expanduser().absolute()

    @field_validator("faults")
    @classmethod
    def _known_points(cls, faults: dict[str, Kind]) -> dict[str, Kind]:
        if unknown := set(faults) - set(POINTS):
            raise ValueError(f"no such points: {', '.join(sorted(unknown))}")
        return faults

    @model_validator(mode="after")
    def _loopback_only(self) -> Self:
        ip, separator, port = self.address.rpartition(":")
        if not separator or not port.isdecimal() or int(port) > 65535:
            raise ValueError("address must be ip:port")
        try:
            loopback = ipaddress.ip_address(ip.removeprefix("[").removesuffix("]")).is_loopback
        except ValueError as error:
            raise ValueError("address must be ip:port with a numeric ip, such as 127.0.0.1:7301") from error
        has_joined = (self.tls_dir / "certificate.pem").exists()
        if not (loopback or has_joined):
            raise ValueError(
                f"{self.address} is not loopback: token and data would cross the network in the clear. Let this host "
                "join a control plane first (`python -m agent join`), then it speaks TLS."
            )
        return self

    @property
    def tls_dir(self) -> Path:
        """Key and certificate, once this host has joined a control plane."""
        return self.data_dir / "tls"

    @property
    def token_path(self) -> Path:
        """Where the token is."""
        return self.token_file or self.data_dir / "token"

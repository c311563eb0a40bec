"""The settings of the control plane, read once in `api/__main__.py`."""

import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_ON_LOOPBACK = re.compile(r"(127(\.[0-9]{1,3}){3}|\[::1\]|localhost):[0-9]{1,5}")
_Limit = Annotated[int | None, Field(ge=0, le=2**31 - 1)]


class Settings(BaseSettings):
    """Each comes from the environment variable of its name with `NESTBOX_` before it, but for `DATABASE_URL` and
    `DATABASE_OWNER_URL`."""

    model_config = SettingsConfigDict(env_prefix="NESTBOX_", frozen=True, extra="ignore")

    api_host: str = "127.0.0.1"
    """The address to listen on. Anything but loopback needs TLS in front of it."""
    api_port: int = Field(default=7300, ge=1, le=65535)
    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    """`postgresql://…`, as the role that serves; it may hold a password."""
    database_owner_url: SecretStr = Field(default=SecretStr(""), validation_alias="DATABASE_OWNER_URL")
    """The same database as the role that owns the tables, for the command that migrates and for nothing else: whoever
    serves should not know it. Without it the role of `database_url` owns them, and could change the audit log."""
    hosts: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.1:7301",)
    """`host:port` of each agent on this computer, separated by commas: they are called with the token, in the clear, so
    on loopback only. Agents elsewhere join, and are known by the database."""
    agent_token_file: Path | None = None
    """Holds the secret that agents ask for; never sent to clients."""
    authority_dir: Path | None = None
    """Holds the cluster's certificate authority, which is made there if there is none. Without it no host can join. All
    replicas need the same."""
    dashboard_dir: Path = Path("frontend/dist")
    """The built dashboard. Where it is missing, a page says how to build it."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins beside our own whose pages may open WebSockets, separated by commas: `https://example.org`."""
    public_url: str = ""
    """Where people reach the platform when that is not where it listens: `https://nestbox.example.org`. Its origin is
    ours, links in invitations begin with it, and when it is https, cookies are only sent by TLS."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses of reverse proxies, separated by commas, whose `x-forwarded-for` says who a caller is. Without them
    everybody behind a proxy shares its address, and its limit of tries to sign in."""
    oidc_issuer: str = ""
    """The issuer of an OpenID Connect provider to sign in with, such as `https://login.example.org`; empty is off.
    Its redirect URI is `<public_url>/auth/oidc/callback`, so `public_url` is needed too."""
    oidc_client_id: str = ""
    oidc_client_secret_file: Path | None = None
    """Holds the secret of our client at that provider; without it, the client is a public one."""
    oidc_name: str = "single sign-on"
    """What the button says: "Continue with …"."""
    oidc_new_users: bool = False
    """Whether anybody whom the provider knows gets an account, without a team, when they first sign in. Otherwise only
    people who have an account with the address that the provider has verified."""
    quota_sandboxes: _Limit = None
    """What a team may have at most, unless an admin of the platform set something else for it; none is as much as there
    is. `api/domain/quota.py` says what counts."""
    quota_vcpus: _Limit = None
    quota_memory_mb: _Limit = None
    quota_disk_mb: _Limit = None
    quota_templates: _Limit = None
    quota_operations: _Limit = None
    quota_requests_per_minute: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    """Of one team to one replica, evenly: those of five seconds may come at once. One replica answers some 60,000."""
    teams_per_user: Annotated[int, Field(ge=0, le=100)] = 100
    """How many teams an account may be in that makes another: each has limits of its own. Whoever may invite makes
    accounts, so that only 0 binds strangers: then only platform admins make teams."""
    emulated_shared: bool = True
    """Whether several teams may have sandboxes on one host whose isolation is EMULATED. False gives such a host to the
    team that has sandboxes there, until it has none."""
    log_level: str = "info"
    event_retention_days: int = Field(default=30, ge=1, le=3650)
    """How long lines of the event log are kept."""
    audit_retention_days: int = Field(default=365, ge=30, le=3650)
    """How long lines of the audit log are kept; the database refuses to remove younger ones than 30 days."""
    api_faults: dict[str, str] = {}
    """For tests only: where this replica is to fail, as JSON (`api/faults.py`)."""

    @field_validator("hosts", "allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

    @field_validator("hosts")
    @classmethod
    def _on_loopback(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            if _ON_LOOPBACK.fullmatch(address) is None:
                raise ValueError(
                    f"{address} is not on loopback, such as 127.0.0.1:7301: the agents' token and all data would cross "
                    "the network in the clear. Let that host join instead: `nestbox host token` here, then `python -m "
                    "agent join` there."
                )
        return value

    @field_validator("public_url", "oidc_issuer")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return value.rstrip("/")

    @field_validator("oidc_issuer")
    @classmethod
    def _secure(cls, value: str) -> str:
        if value.startswith("http://") and urlsplit(value).hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("must begin with https://, but for one on this computer")
        return value

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> Self:
        if self.oidc_issuer and not (self.oidc_client_id and self.public_url):
            raise ValueError("NESTBOX_OIDC_ISSUER needs NESTBOX_OIDC_CLIENT_ID and NESTBOX_PUBLIC_URL")
        return self

    def oidc_client_secret(self) -> str:
        """The secret of our client at the OIDC provider; empty without a file. Raises: OSError."""
        file = self.oidc_client_secret_file
        return "" if file is None else file.read_text().strip()

    def agent_token(self) -> str:
        """The secret for agents; empty without a file. Raises: OSError when the file cannot be read."""
        return "" if self.agent_token_file is None else self.agent_token_file.read_text().strip()

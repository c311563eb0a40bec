"""All use cases of the control plane, made once and sharing one database, one set of hosts and one task group."""

from types import TracebackType
from typing import Self

from api.clock import Clock, SystemClock
from api.services.auth import Auth
from api.services.exec import Exec
from api.services.feed import Feed
from api.services.files import Files
from api.services.health import Health
from api.services.hosts import Hosts
from api.services.operations import Operations
from api.services.sandboxes import Sandboxes
from api.services.templates import Templates


class Services:
    """Use as an async context manager: commands that were accepted run in its task group, beyond their requests."""

    auth: Auth
    sandboxes: Sandboxes
    operations: Operations
    templates: Templates
    hosts: Hosts
    exec: Exec
    files: Files
    feed: Feed
    health: Health

    def __init__(
        self, database_url: str, *, host_addresses: tuple[str, ...], agent_token: str, clock: Clock | None = None
    ) -> None:
        """Connects to nothing yet. `host_addresses` are `host:port` of agents, `agent_token` is their shared secret."""
        self.clock: Clock = clock or SystemClock()

    async def __aenter__(self) -> Self:
        """Raises: Unavailable when the database does not answer."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends streams at once and gives commands under way some seconds; what is left is for the reconciler."""
        raise NotImplementedError

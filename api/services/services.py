"""All use cases of the control plane, made once and sharing one database, one set of hosts and one task group."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from api.clock import Clock, SystemClock
from api.db.database import Database
from api.db.wakeups import Listener, Waker
from api.faults import NO_FAULTS, Faults
from api.hosts.registry import HostRegistry
from api.services.auth import Auth
from api.services.cluster import Cluster
from api.services.commands import Commands
from api.services.exec import Exec
from api.services.feed import Feed
from api.services.files import Files
from api.services.health import Health
from api.services.hosts import Hosts
from api.services.moves import Moves
from api.services.operations import Operations
from api.services.outcome import Outcomes
from api.services.reports import Reports
from api.services.resources import Resources
from api.services.sandboxes import Sandboxes
from api.services.strays import Strays
from api.services.tasks import Tasks
from api.services.templates import Templates
from api.services.timeouts import Timeouts
from api.services.use import Use


class Services:
    """Use as an async context manager: commands that were accepted run in its task group, beyond their requests."""

    def __init__(
        self,
        database_url: str,
        *,
        host_addresses: tuple[str, ...],
        agent_token: str,
        clock: Clock | None = None,
        faults: Faults = NO_FAULTS,
    ) -> None:
        """Connects to nothing yet. `host_addresses` are `host:port` of agents, `agent_token` is their shared secret."""
        clock = clock or SystemClock()
        database = Database(database_url)
        registry = HostRegistry(host_addresses, agent_token)
        outcomes = Outcomes(database)
        self.auth = Auth(database, clock)
        self.feed = Feed(database, self.auth, clock)
        self._listener = Listener(database, self.feed.wake)
        waker = Waker(database, self.feed.wake)
        self.resources = Resources(database, registry, clock, Tasks(), waker, Cluster(database), faults)
        self.reports = Reports(self.resources, outcomes)
        self.commands = Commands(self.resources, self.reports, outcomes)
        moves = Moves(self.resources, self.commands, outcomes)
        self.sandboxes = Sandboxes(self.resources, self.commands, outcomes, moves)
        self.timeouts = Timeouts(self.resources, self.reports, moves)
        self.strays = Strays(self.resources)
        self.operations = Operations(database)
        self.templates = Templates(database)
        self.hosts = Hosts(database)
        use = Use(self.resources, moves)
        self.exec = Exec(use)
        self.files = Files(use)
        self.health = Health(self.resources)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises: Unavailable when the database does not answer; then nothing is left open."""
        resources = self.resources
        async with AsyncExitStack() as opening:
            await resources.database.open()
            opening.push_async_callback(resources.database.close)
            resources.hosts.open()
            opening.push_async_callback(resources.hosts.close)
            await opening.enter_async_context(resources.tasks)
            resources.tasks.service("wake-ups", resources.waker.run())
            resources.tasks.service("wake-up listener", self._listener.run())
            resources.tasks.service("event log reader", self.feed.run())
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends streams at once and gives commands under way some seconds; what is left is for the reconciler."""
        await self._open.aclose()

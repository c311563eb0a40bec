"""All use cases of the control plane, made once and sharing one database, one set of hosts and one task group."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from api.clock import Clock, SystemClock
from api.db.database import Database
from api.db.wakeups import Listener, Waker
from api.domain.quota import UNLIMITED, Limits
from api.domain.team import TEAMS_PER_USER_MAX
from api.faults import NO_FAULTS, Faults
from api.hosts.authority import Authority
from api.hosts.registry import HostRegistry
from api.services.api_keys import ApiKeys
from api.services.audit import Audit
from api.services.auth import Auth
from api.services.base_templates import BaseTemplates
from api.services.cluster import Cluster
from api.services.commands import Commands
from api.services.exec import Exec
from api.services.feed import Feed
from api.services.files import Files
from api.services.forks import Forks
from api.services.health import Health
from api.services.hosts import Hosts
from api.services.invitations import Invitations
from api.services.memberships import Memberships
from api.services.metrics import Metrics
from api.services.moves import Moves
from api.services.operations import Operations
from api.services.outcome import Outcomes
from api.services.passwords import Passwords
from api.services.placing import Placing
from api.services.quotas import Quotas
from api.services.rates import Rates
from api.services.registration import Registrations
from api.services.reports import Reports
from api.services.resources import Resources
from api.services.sandboxes import Sandboxes
from api.services.sessions import Sessions
from api.services.stops import Stops
from api.services.strays import Strays
from api.services.tasks import Tasks
from api.services.teams import Teams
from api.services.template_reports import TemplateReports
from api.services.templates import Templates
from api.services.throttle import Throttle
from api.services.timeouts import Timeouts
from api.services.usage import Usages
from api.services.use import Use
from api.services.users import Users


class Services:
    """Use as an async context manager: commands that were accepted run in its task group, beyond their requests."""

    def __init__(
        self,
        database_url: str,
        *,
        host_addresses: tuple[str, ...],
        agent_token: str,
        authority: Authority | None = None,
        clock: Clock | None = None,
        limits: Limits = UNLIMITED,
        teams_per_user: int = TEAMS_PER_USER_MAX,
        shares_emulated: bool = True,
        faults: Faults = NO_FAULTS,
    ) -> None:
        """Connects to nothing yet. `host_addresses` are `host:port` of agents, `agent_token` is their shared secret;
        `authority` lets others join. `limits` are those of teams for which an admin set none, `teams_per_user` is
        said in `Teams`, `shares_emulated` in `Resources`."""
        clock = clock or SystemClock()
        database = Database(database_url)
        registry = HostRegistry(host_addresses, agent_token, authority, clock)
        outcomes = Outcomes(database)
        self.api_keys = ApiKeys(database, clock)
        self.sessions = Sessions(database, clock)
        self.auth = Auth(self.api_keys, self.sessions, Rates(database, clock, limits))
        self.quotas = Quotas(database, clock, limits)
        self.feed = Feed(database, clock, self.quotas)
        self._listener = Listener(database, self.feed.wake)
        waker = Waker(database, self.feed.wake)
        self.resources = Resources(
            database,
            registry,
            clock,
            Tasks(),
            waker,
            Cluster(database),
            self.quotas,
            shares_emulated=shares_emulated,
            faults=faults,
        )
        self.audit = Audit(database, clock, self.resources.tasks)
        self.reports = Reports(self.resources, outcomes)
        self.commands = Commands(self.resources, self.reports, outcomes)
        moves = Moves(self.resources, self.commands, outcomes)
        self.placing = Placing(self.resources)
        self.sandboxes = Sandboxes(self.resources, self.commands, outcomes, moves, self.placing)
        self.timeouts = Timeouts(self.resources, self.reports, moves)
        self.strays = Strays(self.resources)
        self.base_templates = BaseTemplates(database, clock)
        self.template_reports = TemplateReports(self.resources)
        self.templates = Templates(self.resources, self.commands, outcomes, moves, self.template_reports)
        self.forks = Forks(self.resources, self.commands, outcomes, moves)
        self.registrations = Registrations(self.resources, authority)
        use = Use(self.resources, moves)
        self.exec = Exec(use)
        self.files = Files(use)
        self.health = Health(self.resources)
        self._add_views(database)
        self._add_people(database, clock, Stops(self.resources, moves), teams_per_user)
        self._open = AsyncExitStack()

    def _add_views(self, database: Database) -> None:
        self.operations = Operations(database)
        self.usages = Usages(database)
        self.hosts = Hosts(self.resources)
        self.metrics = Metrics(database)

    def _add_people(self, database: Database, clock: Clock, stops: Stops, teams_per_user: int) -> None:
        passwords = Passwords()
        self.throttle = Throttle(database, clock)
        self.teams = Teams(database, clock, self.sessions, teams_per_user)
        self.memberships = Memberships(database, clock, self.sessions, self.api_keys)
        self.users = Users(
            database,
            clock,
            passwords=passwords,
            throttle=self.throttle,
            sessions=self.sessions,
            api_keys=self.api_keys,
            stops=stops,
        )
        self.invitations = Invitations(database, clock, self.users, self.sessions)

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

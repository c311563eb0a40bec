"""The control plane without its HTTP part, on a real database and a real agent with simulated machines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg

from agent.drivers.simulated import Faults, SimulatedDriver
from agent.host import open_host
from agent.server import serve
from api.db.database import Row
from api.domain.operation import FINISHED, Operation
from api.domain.page import page_request
from api.domain.principal import Principal
from api.domain.quota import UNLIMITED, Limits
from api.domain.sandbox import CreateSandbox, Sandbox, State
from api.domain.status import TaskStatus
from api.domain.template import Template, TemplateFilter
from api.errors import NestboxError
from api.hosts.authority import Authority
from api.ids import DEFAULT_TEAM_ID, new_id
from api.reconciler.reconciler import Reconciler
from api.services.services import Services
from tests.agent.serving import TOKEN, Served, serving
from tests.waiting import eventually


class SettableClock:
    """A clock that tests move: `offset` is time that goes by, `set_by` is what the time of day alone was set by."""

    def __init__(self) -> None:
        self.offset = timedelta()
        self.set_by = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset + self.set_by

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.offset.total_seconds()


@dataclass(frozen=True)
class Running:
    """Services, their reconciler, and a look behind them."""

    services: Services
    principal: Principal
    database: asyncpg.Connection
    clock: SettableClock
    status: Callable[[], tuple[TaskStatus, ...]] = field(default=lambda: ())

    async def created(self, **changes: object) -> Sandbox:
        """A sandbox that runs."""
        outcome = await self.services.sandboxes.create(self.principal, CreateSandbox(**changes))  # type: ignore[arg-type]
        assert outcome.sandbox.state is State.RUNNING, outcome.operation
        return outcome.sandbox

    async def template(self, name: str = "mine", sandbox_id: UUID | None = None) -> Template:
        """A template that is complete, of this sandbox or a new one."""
        sandbox_id = sandbox_id or (await self.created()).id
        outcome = await self.services.templates.create(self.principal, sandbox_id, name)
        assert outcome.template is not None, outcome.operation
        return outcome.template

    async def template_names(self) -> set[str]:
        """Of those that can be seen."""
        page = await self.services.templates.list(self.principal, TemplateFilter(), page_request())
        return {template.name for template in page.items}

    async def operation(self, operation_id: UUID) -> Operation:
        operation = await self.services.operations.get(self.principal, operation_id)
        assert operation is not None
        return operation

    async def ended(self, operation_id: UUID) -> Operation:
        """The operation, as soon as it has ended."""
        await eventually(lambda: self._has_ended(operation_id))
        return await self.operation(operation_id)

    async def _has_ended(self, operation_id: UUID) -> bool:
        return (await self.operation(operation_id)).state in FINISHED

    async def get(self, sandbox_id: UUID) -> Sandbox:
        sandbox = await self.services.sandboxes.get(self.principal, sandbox_id)
        assert sandbox is not None
        return sandbox

    async def comes_to(self, sandbox_id: UUID, state: State) -> Sandbox:
        """The sandbox, as soon as it is in this state."""
        await eventually(lambda: self._is_in(sandbox_id, state))
        return await self.get(sandbox_id)

    async def _is_in(self, sandbox_id: UUID, state: State) -> bool:
        return (await self.get(sandbox_id)).state is state

    async def events(self, sandbox_id: UUID) -> list[Row]:
        """Its history, in the order in which it happened."""
        return list(await self.database.fetch("SELECT * FROM events WHERE sandbox_id = $1 ORDER BY id", sandbox_id))


async def principal_of(services: Services, team_id: UUID = DEFAULT_TEAM_ID, *, admin: bool = False) -> Principal:
    """Somebody with a key."""
    key = await services.api_keys.make("test", team_id=team_id, is_platform_admin=admin)
    return await services.auth.authenticate(f"Bearer {key}")


async def other_team(database: asyncpg.Connection) -> UUID:
    """Another team's id."""
    team_id = new_id()
    await database.execute("INSERT INTO teams (id, name, created_at) VALUES ($1, 'other', now())", team_id)
    return team_id


@asynccontextmanager
async def services_running(
    database_url: str,
    *addresses: str,
    reconcile: bool = True,
    clock: SettableClock | None = None,
    authority: Authority | None = None,
    limits: Limits = UNLIMITED,
    teams_per_user: int = 100,
    shares_emulated: bool = True,
) -> AsyncIterator[Running]:
    """One replica; with its hosts reachable, if it reconciles at all."""
    clock = clock or SettableClock()
    services = Services(
        database_url,
        host_addresses=addresses,
        agent_token=TOKEN,
        clock=clock,
        authority=authority,
        limits=limits,
        teams_per_user=teams_per_user,
        shares_emulated=shares_emulated,
    )
    reconciler = Reconciler(services)
    database = await asyncpg.connect(database_url)
    try:
        async with services, asyncio.TaskGroup() as group:
            running = Running(services, await principal_of(services), database, clock, reconciler.status)
            task = group.create_task(reconciler.run()) if reconcile else None
            if task is not None and addresses:
                await eventually(lambda: len(services.resources.hosts.host_ids) == len(addresses))
                await eventually(lambda: _all_reachable(services))
            yield running
            if task is not None:
                task.cancel()
    finally:
        await database.close()


async def _all_reachable(services: Services) -> bool:
    try:
        return all(check.ok for check in await services.health.ready())
    except NestboxError:
        return False


@asynccontextmanager
async def host_running(folder: Path, faults: Faults | None = None) -> AsyncIterator[tuple[Served, str]]:
    """An agent, and its address."""
    async with serving(folder, faults=faults) as served:
        yield served, f"127.0.0.1:{served.port}"


@asynccontextmanager
async def agent_at(folder: Path, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """An agent on this data directory and address; its address."""
    folder.mkdir(exist_ok=True)
    driver = SimulatedDriver(folder / "simulated")
    async with (
        open_host(folder, driver, None) as host,
        serve(host, address=address, token=TOKEN, name="test", version="0") as port,
    ):
        yield f"127.0.0.1:{port}"

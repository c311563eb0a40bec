"""What the model drives: two replicas on one database, two hosts with simulated machines, and everything that can be
done to them from outside.

It lives in a thread with an event loop of its own, so that it goes on between the steps of a test.
"""

import asyncio
import itertools
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import UUID

import asyncpg

from api.domain.feed import Changed, Reset
from api.domain.principal import Principal
from api.domain.sandbox import TRANSITIONAL, SandboxFilter, State
from api.errors import NestboxError
from tests.agent.serving import Served
from tests.api.running import Running, SettableClock, host_running, other_team, principal_of, services_running
from tests.faults.processes import Agent
from tests.invariants.checker import check
from tests.invariants.evidence import Promises, Violation
from tests.invariants.gathering import gather
from tests.waiting import eventually

SETTLE_SECONDS = 30.0
"""After any fault heals, everything holds again within this."""
SPEED = 5
"""So much faster than time goes by do replicas think that it does: what they put off for seconds comes soon."""
LOOK_SECONDS = 0.5
"""Replicas compare inventories as often as this, in their time every other second."""

_EVERYTHING = SandboxFilter(states=frozenset(State))
_UNSETTLED = """SELECT (SELECT count(*) FROM sandboxes WHERE state = ANY($1::text[]))
    + (SELECT count(*) FROM operations WHERE state = 'running')"""

Result = TypeVar("Result")


class Clock(SettableClock):
    """Replicas' clock: it is fast, the wall can be set, and the monotonic one only goes on."""

    def __init__(self) -> None:
        super().__init__()
        self._began = datetime.now(UTC)
        self._began_at: float | None = None

    def monotonic(self) -> float:
        now = asyncio.get_running_loop().time()
        if self._began_at is None:
            self._began_at = now
        return self._began_at + (now - self._began_at) * SPEED + self.offset.total_seconds()

    def now(self) -> datetime:
        return self._began + (datetime.now(UTC) - self._began) * SPEED + self.offset + self.set_by

    def jump(self, seconds: float) -> None:
        """Sets the wall clock forward or back."""
        self.set_by += timedelta(seconds=seconds)

    def pass_time(self, seconds: float) -> None:
        """Lets time go by."""
        self.offset += timedelta(seconds=seconds)


class Platform:
    """Open while `opened` runs; its methods are called in its own loop."""

    def __init__(
        self, database_url: str, agent: Agent, served: Served, folder: Path, replicas: tuple[Running, ...]
    ) -> None:
        self.agent = agent
        self.served = served
        self.replicas = replicas
        self.promises = Promises()
        self.teams: tuple[Principal, ...] = ()
        self._database_url = database_url
        self._folder = folder
        self._turns = random.Random(0)  # noqa: S311 - which replica a client comes to

    @classmethod
    @asynccontextmanager
    async def opened(cls, database_url: str, folder: Path) -> AsyncIterator[Self]:
        """Agents, replicas, two teams and a subscriber for each."""
        agent = Agent(folder / "killed")
        clock = Clock()
        async with AsyncExitStack() as stack:
            stack.callback(agent.kill)
            await agent.start()
            served, address = await stack.enter_async_context(host_running(folder / "served"))
            replicas = [
                await stack.enter_async_context(services_running(database_url, agent.address, address, clock=clock))
                for _ in range(2)
            ]
            platform = cls(database_url, agent, served, folder, tuple(replicas))
            services = replicas[0].services
            second = await principal_of(services, await other_team(replicas[0].database))
            platform.teams = (replicas[0].principal, second)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            tasks = [group.create_task(platform.watch(principal)) for principal in platform.teams]
            tasks.append(group.create_task(platform.look_often()))
            try:
                yield platform
            finally:
                for task in tasks:
                    task.cancel()

    @property
    def clock(self) -> Clock:
        clock = self.replicas[0].clock
        assert isinstance(clock, Clock)
        return clock

    def replica(self) -> Running:
        """Where a client happens to come out."""
        return self._turns.choice(self.replicas)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection that no replica knows."""
        connection = await asyncpg.connect(self._database_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def watch(self, principal: Principal) -> None:
        """Follows a team's list for ever, from replica to replica, as a client does that reconnects."""
        for replica in itertools.cycle(self.replicas):
            with suppress(NestboxError):
                async for event in replica.services.feed.sandboxes(principal, _EVERYTHING):
                    if isinstance(event, Reset):
                        for sandbox in event.sandboxes:
                            self._seen(sandbox.id, sandbox.version)
                    elif isinstance(event, Changed):
                        self._seen(event.sandbox.id, event.sandbox.version)
            await asyncio.sleep(0)

    def _seen(self, sandbox_id: UUID, version: int) -> None:
        self.promises.seen_versions.setdefault(sandbox_id, []).append(version)

    async def kill_agent(self) -> None:
        """kill -9, and the next agent on the same files."""
        self.agent.kill()
        await self.agent.start()

    async def cut_connections(self) -> None:
        """Every connection of the replicas to PostgreSQL ends at once."""
        async with self.database() as database:
            await database.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'nestbox-api'"""
            )

    def lose_wake_ups(self, lost: bool) -> None:
        """Whether wake-ups get lost from now on: readers have only their polling then."""
        for replica in self.replicas:
            waker = replica.services.resources.waker
            waker._on_wake = (lambda: None) if lost else replica.services.feed.wake
            replica.services._listener._on_wake = waker._on_wake

    def crash(self, sandbox_id: UUID) -> None:
        """The machine dies, if it runs on the host that can do that."""
        with suppress(KeyError):
            self.served.driver.crash(sandbox_id)

    async def look(self) -> None:
        """Every replica compares inventories now."""
        for replica in self.replicas:
            for host_id in replica.services.resources.hosts.host_ids:
                replica.services.commands._in_doubt(host_id)

    async def look_often(self) -> None:
        """For ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)  # not a wait: it is the replicas' rhythm

    async def settled(self) -> list[Violation]:
        """Waits until nothing is under way and everything holds; what still does not hold when the time is over."""
        violations: list[Violation] = [Violation(14, None, "something was still under way")]

        async def holds() -> bool:
            nonlocal violations
            await self.look()
            # what is stuck is only found by its age, which replicas count from when they saw it
            self.clock.pass_time(1)
            async with self.database() as database:
                under_way = await database.fetchval(_UNSETTLED, sorted(TRANSITIONAL))
            if under_way or not await self.agent.answers():
                return False
            violations = await self.violations()
            return not violations

        with suppress(AssertionError):
            await eventually(holds, SETTLE_SECONDS)
        return violations

    async def violations(self) -> list[Violation]:
        """What does not hold now."""
        async with self.agent.client() as client, self.database() as database:
            agents = {self.agent.data_dir: client, self._folder / "served": self.served}
            return check(await gather(database, agents, self.promises, probe_stale=True))


class InThread:
    """A platform in a thread of its own; `do` runs something in its loop and waits for it."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self._database_url = database_url
        self._folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="platform")
        self.platform: Platform

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        assert hasattr(self, "platform"), "the platform could not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)

    def do(self, work: Callable[[Platform], Coroutine[Any, Any, Result]], seconds: float = 90.0) -> Result:
        """The result of the work."""
        return asyncio.run_coroutine_threadsafe(work(self.platform), self._loop).result(seconds)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        try:
            async with Platform.opened(self._database_url, self._folder) as self.platform:
                self._ready.set()
                await self._over.wait()
        finally:
            self._ready.set()

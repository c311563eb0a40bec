"""One host with simulated machines in a process of its own, one replica, and a look at all of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self
from uuid import UUID

import asyncpg

from api.domain.sandbox import TRANSITIONAL, CreateSandbox, Sandbox, State
from api.errors import NestboxError
from api.reconciler.plan import RESEND_AFTER_SECONDS
from tests.api.running import Running, SettableClock, services_running
from tests.faults.processes import Agent
from tests.invariants.checker import check
from tests.invariants.evidence import Promises, Violation
from tests.invariants.gathering import gather
from tests.waiting import eventually

SETTLE_SECONDS = 30.0
"""After any one fault heals, all invariants hold again within this."""

UNSETTLED = """SELECT (SELECT count(*) FROM sandboxes WHERE state = ANY($1::text[]))
    + (SELECT count(*) FROM operations WHERE state = 'running')
    + (SELECT count(*) FROM templates WHERE state IN ('creating', 'deleting'))"""


@dataclass
class Site:
    """`running` is a replica in this process; where the control plane is a process too, it is not used."""

    database_url: str
    agent: Agent
    running: Running
    promises: Promises = field(default_factory=Promises)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, database_url: str, agent: Agent, *, address: str | None = None, clock: SettableClock | None = None
    ) -> AsyncIterator[Self]:
        """With a replica that reaches the agent at `address`, by default its own. The agent runs already."""
        async with services_running(database_url, address or agent.address, clock=clock) as running:
            yield cls(database_url, agent, running)

    async def create(self, key: str, wait_seconds: int = 30) -> Sandbox | None:
        """The sandbox of this key; None if there is no answer yet."""
        with suppress(NestboxError):
            command = CreateSandbox(idempotency_key=key, wait_seconds=wait_seconds)
            outcome = await self.running.services.sandboxes.create(self.running.principal, command)
            self.promises.answered(self.running.principal.team_id, key, outcome.sandbox.id)
            return outcome.sandbox
        return None

    async def state(self, sandbox_id: UUID) -> State:
        return (await self.running.get(sandbox_id)).state

    def look(self) -> None:
        """The replica compares inventories now, not in some seconds."""
        for host_id in self.running.services.resources.hosts.host_ids:
            self.running.services.commands._in_doubt(host_id)

    async def make_due(self) -> None:
        """The replica has seen what is under way, and then for so long that it is sent again at its next look."""

        def passes() -> int:
            return self.running.status()[0].runs

        before = passes()
        # one may be under way already
        for number in (1, 2):
            self.look()
            await eventually(lambda number=number: passes() >= before + number)
        self.running.clock.offset += timedelta(seconds=RESEND_AFTER_SECONDS)
        self.look()

    async def settled(self, seconds: float = SETTLE_SECONDS) -> list[Violation]:
        """What does not hold when nothing is under way any more, or the time is over."""
        return await settled(self.database_url, self.agent, self.promises, seconds)


async def settled(
    database_url: str, agent: Agent, promises: Promises | None = None, seconds: float = SETTLE_SECONDS
) -> list[Violation]:
    """Waits until nothing is under way and everything holds; what does not when the time is over."""
    violations = [Violation(14, None, "something was still under way")]

    async def holds() -> bool:
        nonlocal violations
        if not await agent.answers():
            return False
        connection = await asyncpg.connect(database_url)
        try:
            if await connection.fetchval(UNSETTLED, sorted(TRANSITIONAL)):
                return False
            async with agent.client() as client:
                violations = check(await gather(connection, {agent.data_dir: client}, promises, probe_stale=True))
        finally:
            await connection.close()
        return not violations

    with suppress(AssertionError):
        await eventually(holds, seconds, poll_seconds=0.1)
    return violations


@asynccontextmanager
async def agent_running(folder: Path, *, latency_ms: int = 0) -> AsyncIterator[Agent]:
    """An agent that is killed in the end."""
    agent = Agent(folder, latency_ms=latency_ms)
    try:
        await agent.start()
        yield agent
    finally:
        agent.kill()

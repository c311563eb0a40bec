"""One host: its reports are followed, and its whole inventory is compared every few seconds."""

import asyncio
from collections.abc import Collection, Hashable
from contextlib import aclosing
from uuid import UUID

import structlog

from api.db import hosts, inventory
from api.db.database import Row as Record
from api.db.locks import Locks
from api.domain.host import HostFacts
from api.domain.machine import HeldTemplate, Inventory
from api.domain.sandbox import Goal, State
from api.domain.status import TaskStatus
from api.errors import Forbidden
from api.hosts.client import HostClient
from api.ids import Kind, wire_id
from api.reconciler.ages import Ages
from api.reconciler.plan import LOST_CAUSE, LOST_DETAIL, LOST_TARGET, Plan, Row, plan
from api.reconciler.status import TaskRecord
from api.reconciler.strays import Claims, Written, unclaimed
from api.reconciler.templates import TemplatePass
from api.services.services import Services

PASS_SECONDS = 5.0
RETRY_SECONDS = 1.0
"""Between passes while a host does not answer."""
UNREACHABLE_AFTER_SECONDS = 5.0
"""A host that has not answered for so long is shown as unreachable. Nothing else is concluded from silence."""
FOLLOW_AGAIN_SECONDS = 0.2

_log = structlog.get_logger()


class HostTasks:
    """Two tasks for the host at one address: a pass over its inventory, and a follower of its reports.

    Of all replicas only the one that holds the host's lock does either; the others just learn who is there. The lock
    saves work: every write is guarded by itself.
    """

    def __init__(self, services: Services, client: HostClient, locks: Locks) -> None:
        self._services = services
        self._database = services.resources.database
        self._clock = services.resources.clock
        self._client = client
        self._locks = locks
        self._host_id: UUID | None = None
        self._silent_since: float | None = None
        self._followed = asyncio.Event()
        self._nudged = asyncio.Event()
        self._ages, self._template_ages = Ages(self._clock), Ages(self._clock)
        self._left_alone = 0
        self._inventory = TaskRecord(f"inventory of {client.address}", self._clock)
        self._reports = TaskRecord(f"reports of {client.address}", self._clock)

    def status(self) -> tuple[TaskStatus, ...]:
        """Both tasks."""
        return (self._inventory.status, self._reports.status)

    def look(self, host_id: UUID) -> None:
        """Compares the inventory soon, if it is this host's."""
        if host_id == self._host_id:
            self._nudged.set()

    async def run(self) -> None:
        """Runs until cancelled, or until the host was removed or has joined again at another address."""
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow_again_and_again())
            await self._pass_again_and_again()
            following.cancel()
        await self._client.close()

    async def _pass_again_and_again(self) -> None:
        while not self._services.resources.hosts.is_given_up(self._client):
            self._nudged.clear()
            failures = self._inventory.status.failures
            with self._inventory.contained():
                await self._pass()
            failed = self._inventory.status.failures > failures
            if failed:
                # a follower would only fail as well; the next good pass starts it again
                self._followed.clear()
                with self._inventory.contained():
                    await self._note_silence()
            else:
                self._silent_since = None
            try:
                async with asyncio.timeout(RETRY_SECONDS if failed else PASS_SECONDS):
                    await self._nudged.wait()
            except TimeoutError:
                pass

    async def _pass(self) -> None:
        facts = await self._identified()
        if self._host_id != facts.host_id:
            _log.info("host answers", host_id=str(facts.host_id), address=self._client.address, driver=facts.driver)
        self._host_id = facts.host_id
        self._services.resources.hosts.answered(facts.host_id, self._client)
        if not await self._locks.try_hold(facts.host_id):
            self._followed.clear()
            self._ages.forget()
            self._template_ages.forget()
            self._inventory.succeeded("another replica looks after this host")
            return
        address, now, by_certificate = self._client.address, self._clock.now(), self._client.host_id is not None
        if not await hosts.seen(self._database, address, facts, now, by_certificate=by_certificate):
            raise Forbidden("This host was removed, or has joined again: it is not to be reached in this way any more.")
        await self._services.registrations.renew(self._client, facts)
        self._followed.set()
        done = await self._reconcile(facts.host_id)
        if await hosts.set_reachable(self._database, facts.host_id, self._clock.now(), reachable=True):
            _log.info("host reachable", host_id=str(facts.host_id), address=self._client.address)
            self._services.resources.waker.wake()
        self._inventory.succeeded(done)

    async def _identified(self) -> HostFacts:
        """What the host says of itself, if it may be the host that it says it is.

        Raises: Forbidden: it may not, and nothing is believed of it. HostCallError, Unavailable.
        """
        facts, expected = await self._client.get_host(), self._client.host_id
        claimed = wire_id(Kind.HOST, facts.host_id)
        if expected is not None and facts.host_id != expected:
            own = wire_id(Kind.HOST, expected)
            raise Forbidden(f"By its certificate this is {own}, and it says that it is {claimed}: it is not believed.")
        if expected is None and await hosts.has_joined(self._database, facts.host_id):
            raise Forbidden(
                f"It says that it is {claimed}, but that host has joined, and is believed by its certificate only."
            )
        return facts

    async def _reconcile(self, host_id: UUID) -> str:
        templates = TemplatePass(self._services, host_id, self._template_ages)
        await templates.read()
        # the rows first: a sandbox that starts in between is then in the inventory only, and nothing is made of it
        began = self._clock.monotonic()
        rows = [_row(row) for row in await inventory.of_host(self._database, host_id)]
        there = await self._client.list_machines()
        strangers = unclaimed({row.id for row in rows}, there)
        claims = await self._claims(host_id, [machine.sandbox_id for machine in strangers])
        looks: dict[UUID, Hashable] = {row.id: (row.state, row.generation, row.updated_at) for row in rows}
        ages = self._ages.of(looks | {machine.sandbox_id: None for machine in strangers}, began)
        chosen = plan(rows, there, ages, self._services.commands.under_way, claims)
        await self._execute(host_id, chosen)
        return ", ".join(filter(None, (str(chosen), await templates.reconcile(there))))

    async def _claims(self, host_id: UUID, sandbox_ids: Collection[UUID]) -> Claims:
        # asked for after the inventory: whatever was made has had its row before, so it is found now
        found = await inventory.by_id(self._database, sandbox_ids) if sandbox_ids else ()
        written = {row["id"]: Written(row["host_id"], State(row["state"]), row["generation"]) for row in found}
        return Claims(host_id, await self._services.resources.cluster.id(), written)

    async def _execute(self, host_id: UUID, chosen: Plan) -> None:
        reports = self._services.reports
        for machine in chosen.apply:
            await reports.apply(host_id, machine)
        if chosen.observe:
            await reports.observe(host_id, chosen.observe)
        for row in chosen.lost:
            _log.warning("sandbox unknown to its host", sandbox_id=str(row.id), host_id=str(host_id))
            await reports.conclude(
                row.id, row.state, row.version, target=LOST_TARGET, cause=LOST_CAUSE, detail=LOST_DETAIL
            )
        for sandbox_id in chosen.resend:
            await self._services.commands.resend(sandbox_id)
        for sandbox_id in chosen.tell:
            await self._services.timeouts.tell(sandbox_id)
        for stray in chosen.destroy:
            self._services.strays.destroy(host_id, stray.sandbox_id, stray.generation)
        if chosen.left_alone != self._left_alone:
            self._left_alone = chosen.left_alone
            _log.warning("machines without a row are left alone", host_id=str(host_id), count=chosen.left_alone)

    async def _note_silence(self) -> None:
        now = self._clock.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since < UNREACHABLE_AFTER_SECONDS:
            return
        host_id = await self._silent_host()
        if host_id is None or not await self._locks.try_hold(host_id):
            return
        if await hosts.set_reachable(self._database, host_id, self._clock.now(), reachable=False):
            _log.warning("host unreachable", host_id=str(host_id), address=self._client.address)
            self._services.resources.waker.wake()

    async def _silent_host(self) -> UUID | None:
        """Which host it is that should answer here, as far as is known."""
        if self._client.host_id is not None:
            return self._client.host_id
        last = self._host_id or await hosts.by_address(self._database, self._client.address)
        # one that has joined meanwhile is called elsewhere, and may well answer there
        return None if last is None or await hosts.has_joined(self._database, last) else last

    async def _follow_again_and_again(self) -> None:
        while True:
            await self._followed.wait()
            with self._reports.contained():
                await self._follow()
            # whatever ended the stream, the inventory says what was missed, or that the host is gone
            self._nudged.set()
            await asyncio.sleep(FOLLOW_AGAIN_SECONDS)

    async def _follow(self) -> None:
        async with aclosing(self._client.watch_machines()) as events:
            async for event in events:
                host_id = self._host_id
                if host_id is None or not self._followed.is_set():
                    return
                if isinstance(event, Inventory):
                    # compared in a pass, which reads the rows before it asks again
                    self._reports.succeeded("following")
                    self._nudged.set()
                elif isinstance(event, HeldTemplate):
                    await self._services.template_reports.apply(host_id, event)
                    self._reports.succeeded("following")
                else:
                    await self._services.reports.take_in(host_id, event)
                    self._reports.succeeded("following")


def _row(read: Record) -> Row:
    return Row(**{**read, "state": State(read["state"]), "goal": Goal(read["goal"])})

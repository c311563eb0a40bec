"""Taking in what hosts report."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from api.db import reports
from api.db.reports import Answer, Applied, Stale
from api.domain.machine import Machine
from api.domain.sandbox import Cause, State, deadline_of
from api.services.outcome import Outcome, Outcomes
from api.services.resources import Resources


class Reports:
    """Guarded writes of what hosts say; each that changed something wakes the readers of the log."""

    def __init__(self, resources: Resources, outcomes: Outcomes) -> None:
        self._resources = resources
        self._outcomes = outcomes

    async def apply(self, host_id: UUID, machine: Machine) -> Answer:
        """Writes what a host says of a machine. Being late is normal: it answers Stale then.

        May be repeated, and called by several replicas at once. Raises: Unavailable.
        """
        now = self._resources.clock.now()
        deadline = _after(now, deadline_of(machine.state))
        return self._tell(await reports.apply(self._resources.database, host_id, machine, now, deadline))

    async def conclude(
        self, sandbox_id: UUID, state: State, version: int, *, target: State, cause: Cause, detail: str
    ) -> Answer:
        """Moves a sandbox on that its host does not know, unless it has changed since it was seen in this state and
        version. Raises: Unavailable."""
        now = self._resources.clock.now()
        seen = (sandbox_id, state, version)
        return self._tell(await reports.conclude(self._resources.database, seen, target, cause, detail, now))

    async def observe(self, host_id: UUID, machines: Sequence[Machine]) -> None:
        """Keeps sequences and times of machines whose state is known already. Raises: Unavailable."""
        observed = await reports.observe(self._resources.database, host_id, machines, self._resources.clock.now())
        if observed.visible:
            self._resources.waker.wake()

    async def take_in(self, host_id: UUID, machine: Machine) -> Answer:
        """A report that may be of a move or of no more than the time. Raises: Unavailable."""
        answer = await self.apply(host_id, machine)
        if isinstance(answer, Stale):
            await self.observe(host_id, (machine,))
        return answer

    def _tell(self, answer: Answer) -> Answer:
        if isinstance(answer, Applied):
            self._resources.waker.wake()
            if answer.operation is not None:
                self._outcomes.settle(Outcome(answer.sandbox, answer.operation))
        return answer


def _after(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)

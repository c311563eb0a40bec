"""Using a sandbox: what is paused, and is to be resumed when it is used, is resumed first."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import structlog

from api.db import sandboxes
from api.db.sandboxes import Whereabouts
from api.domain.operation import OperationState
from api.domain.principal import Principal
from api.domain.sandbox import RESUMABLE, Action, Cause, State
from api.errors import Unavailable
from api.hosts.client import HostClient
from api.hosts.errors import HostCallError, Refused
from api.services.moves import Moves
from api.services.places import no_such_sandbox, raise_refusal
from api.services.resources import Resources

RESUME_SECONDS = 30.0
"""For a sandbox to come to run, a pause that is just being made included."""
LOOK_SECONDS = 0.1
"""Between looks while somebody else pauses or resumes it."""

WRONG_STATE = "WRONG_STATE"
"""What a host refuses a use with, before anything of it has begun, when the machine does not run."""

_log = structlog.get_logger()

T = TypeVar("T")


class Use:
    """Finds the host of a sandbox that is about to be used, and calls it."""

    def __init__(self, resources: Resources, moves: Moves) -> None:
        self._resources = resources
        self._moves = moves

    async def call(
        self,
        principal: Principal,
        sandbox_id: UUID,
        action: Action,
        call: Callable[[HostClient], Awaitable[T]],
        *,
        repeatable: Callable[[], bool] = lambda: True,
    ) -> T:
        """What `call` returns, given the host of a sandbox that runs; one query if it does already.

        A sandbox may be paused for idleness between the look at it and the call. Where it is to be resumed for use, it
        is then, and `call` is made again, but only if its host refused before anything had begun (`WRONG_STATE`), and
        `repeatable` says, when it is asked then, that this side has not begun either.

        Raises:
            NotFound: no such sandbox, or another team's. Conflict: `WRONG_STATE`.
            Unavailable: its host does not answer, or it could not be resumed. NoCapacity: `QUOTA_EXCEEDED`: its team
            may not have it run. And what the host answers with.
        """
        deadline = self._resources.clock.monotonic() + RESUME_SECONDS
        while True:
            place = await self._place(principal, sandbox_id, action, deadline)
            client = self._resources.hosts.client(place.host_id)
            try:
                return await call(client)
            except HostCallError as error:
                overtaken = isinstance(error, Refused) and error.error.code == WRONG_STATE
                in_time = self._resources.clock.monotonic() < deadline
                if not (overtaken and place.auto_resume and in_time and repeatable()):
                    raise error.error from error
                _log.info("sandbox paused before its use", sandbox_id=str(sandbox_id), action=action)
            # its report is on the way here
            await asyncio.sleep(LOOK_SECONDS)

    async def _place(self, principal: Principal, sandbox_id: UUID, action: Action, deadline: float) -> Whereabouts:
        """Where it runs; it is resumed for that, if it is to be. Raises: as `call`."""
        while True:
            place = await sandboxes.whereabouts(self._resources.database, principal.team_id, sandbox_id)
            if place is None:
                raise no_such_sandbox()
            if not (place.auto_resume and place.reachable and place.state in RESUMABLE):
                raise_refusal(action, place.state, reachable=place.reachable)
                return place
            if self._resources.clock.monotonic() >= deadline:
                raise Unavailable("The sandbox could not be resumed in time; try again.", code="TIMEOUT")
            if place.state is not State.PAUSED or not await self._resume(principal, sandbox_id):
                await asyncio.sleep(LOOK_SECONDS)

    async def _resume(self, principal: Principal, sandbox_id: UUID) -> bool:
        """Whether it was resumed by this. Raises: Unavailable when its host could not."""
        outcome = await self._moves.by_system(
            principal.team_id, sandbox_id, Action.RESUME, Cause.AUTO_RESUME, RESUME_SECONDS
        )
        if outcome is None:
            return False
        _log.info("sandbox resumed for use", sandbox_id=str(sandbox_id), operation_id=str(outcome.operation.id))
        if outcome.operation.state is OperationState.FAILED:
            message = outcome.operation.error_message or "The sandbox could not be resumed."
            raise Unavailable(message, code=outcome.operation.error_code)
        return outcome.operation.state is OperationState.SUCCEEDED

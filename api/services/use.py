"""Using a sandbox: what is paused, and is to be resumed when it is used, is resumed first."""

import asyncio
from uuid import UUID

import structlog

from api.db import sandboxes
from api.domain.operation import OperationState
from api.domain.principal import Principal
from api.domain.sandbox import RESUMABLE, Action, Cause, State
from api.errors import Unavailable
from api.hosts.client import HostClient
from api.services.moves import Moves
from api.services.places import no_such_sandbox, raise_refusal
from api.services.resources import Resources

RESUME_SECONDS = 30.0
"""For a sandbox to come to run, a pause that is just being made included."""
LOOK_SECONDS = 0.1
"""Between looks while somebody else pauses or resumes it."""

_log = structlog.get_logger()


class Use:
    """Finds the host of a sandbox that is about to be used."""

    def __init__(self, resources: Resources, moves: Moves) -> None:
        self._resources = resources
        self._moves = moves

    async def place(self, principal: Principal, sandbox_id: UUID, action: Action) -> HostClient:
        """The host of a sandbox that runs; one query if it does already.

        Raises:
            NotFound: no such sandbox, or another team's. Conflict: `WRONG_STATE`.
            Unavailable: its host does not answer, or it could not be resumed.
        """
        deadline = self._resources.clock.monotonic() + RESUME_SECONDS
        while True:
            place = await sandboxes.whereabouts(self._resources.database, principal.team_id, sandbox_id)
            if place is None:
                raise no_such_sandbox()
            if not (place.auto_resume and place.reachable and place.state in RESUMABLE):
                raise_refusal(action, place.state, reachable=place.reachable)
                return self._resources.hosts.client(place.host_id)
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

"""Pausing what runs for somebody who may no longer be here."""

from collections.abc import Collection
from uuid import UUID

import structlog

from api.db import sandboxes
from api.domain.sandbox import Action, Cause
from api.errors import NestboxError
from api.services.moves import Moves
from api.services.resources import Resources

_log = structlog.get_logger()


class Stops:
    """Accepts the pauses at once; the tasks of the server carry them out."""

    def __init__(self, resources: Resources, moves: Moves) -> None:
        self._resources = resources
        self._moves = moves

    async def pause(self, sandbox_ids: Collection[UUID]) -> None:
        """Pauses those of them that still run. One that cannot be paused now runs on, and is logged."""
        if not sandbox_ids:
            return
        for sandbox in await sandboxes.load(self._resources.database, sandbox_ids):
            try:
                outcome = await self._moves.by_system(sandbox.team_id, sandbox.id, Action.PAUSE, Cause.USER)
            except NestboxError as error:
                _log.warning("sandbox not paused", sandbox_id=str(sandbox.id), code=error.code)
                continue
            if outcome is None:
                _log.warning("sandbox not paused", sandbox_id=str(sandbox.id), state=sandbox.state.value)

"""Machines that this control plane had made and that no row wants: their hosts are told to remove them."""

from uuid import UUID

import structlog

from api.hosts.errors import HostCallError
from api.services.resources import Resources

_log = structlog.get_logger()


class Strays:
    """Nothing of it is in the database, so a call that fails is made again when the machine is found again."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._under_way: set[UUID] = set()

    def destroy(self, host_id: UUID, sandbox_id: UUID, generation: int) -> None:
        """Begins to, unless it is under way already."""
        if sandbox_id in self._under_way:
            return
        self._under_way.add(sandbox_id)
        self._resources.tasks.command(f"destroy stray {sandbox_id}", self._destroy(host_id, sandbox_id, generation))

    async def _destroy(self, host_id: UUID, sandbox_id: UUID, generation: int) -> None:
        log = _log.bind(sandbox_id=str(sandbox_id), host_id=str(host_id), generation=generation)
        try:
            log.warning("machine without a row is destroyed")
            await self._resources.hosts.client(host_id).destroy(sandbox_id, generation)
        except HostCallError as error:
            log.warning("machine without a row is not destroyed yet", code=error.error.code, detail=error.error.detail)
        finally:
            self._under_way.discard(sandbox_id)

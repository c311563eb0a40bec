"""Hosts, for platform admins."""

from uuid import UUID

from api.domain.host import Host
from api.domain.principal import Principal


class Hosts:
    """What is known of the computers that run sandboxes."""

    async def list(self, principal: Principal) -> tuple[Host, ...]:
        """Every host, by name. Raises: Forbidden for all but platform admins."""
        raise NotImplementedError

    async def get(self, principal: Principal, host_id: UUID) -> Host | None:
        """One host. Raises: Forbidden for all but platform admins."""
        raise NotImplementedError

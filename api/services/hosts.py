"""Hosts, for platform admins."""

from uuid import UUID

from api.db import drift, hosts
from api.db.database import Database
from api.domain.drift import AS_WANTED, DRIFT_MAX, LASTING, Drift
from api.domain.host import Host
from api.domain.principal import Principal, require_platform_admin


class Hosts:
    """What is known of the computers that run sandboxes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, principal: Principal) -> tuple[Host, ...]:
        """Every host, by name. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await hosts.all_hosts(self._database)

    async def get(self, principal: Principal, host_id: UUID) -> Host | None:
        """One host. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await hosts.get(self._database, host_id)

    async def drift(self, principal: Principal) -> tuple[Drift, ...]:
        """Sandboxes of all teams that are not as their users want them, at most `DRIFT_MAX`.

        Raises: Forbidden for all but platform admins.
        """
        require_platform_admin(principal)
        return tuple(await drift.read(self._database, AS_WANTED, LASTING, DRIFT_MAX))

"""Hosts, for platform admins."""

from uuid import UUID

from api.db import drift, host_tokens, hosts
from api.domain.drift import AS_WANTED, DRIFT_MAX, LASTING, Drift
from api.domain.host import Host
from api.domain.principal import Principal, require_platform_admin
from api.errors import Conflict, NotFound
from api.services.audit import note
from api.services.resources import Resources
from api.services.rights import lock_platform_admins


class Hosts:
    """What is known of the computers that run sandboxes."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._database = resources.database

    async def list(self, principal: Principal) -> tuple[Host, ...]:
        """Every host, by name. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await hosts.all_hosts(self._database)

    async def get(self, principal: Principal, host_id: UUID) -> Host | None:
        """One host. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await hosts.get(self._database, host_id)

    async def remove(self, principal: Principal, host_id: UUID) -> Host | None:
        """Expels a host that has joined: no replica calls it any more after a few seconds, its certificate is not
        renewed, and it comes back only with a new token that is made for it. Its sandboxes stay as they were last
        known, unreachable, and can be deleted. May be repeated.

        Raises: Forbidden for all but platform admins; NotFound: no such host; Conflict: `HOST_NOT_JOINED`.
        """
        require_platform_admin(principal)
        now = self._resources.clock.now()
        async with self._database.transaction() as transaction:
            await lock_platform_admins(transaction, principal, now)
            # before the host itself, as for one that joins: whoever of the two is later waits
            await host_tokens.expire(transaction, host_id, now)
            if not await hosts.remove(transaction, host_id, now):
                if not await hosts.is_known(transaction, host_id):
                    raise NotFound("There is no such host.", path=("id",))
                raise Conflict("This host is one of the settings: NESTBOX_HOSTS names it.", code="HOST_NOT_JOINED")
            await hosts.set_reachable(transaction, host_id, now, reachable=False)
            await note(transaction, now)
        self._resources.waker.wake()
        return await hosts.get(self._database, host_id)

    async def drift(self, principal: Principal) -> tuple[Drift, ...]:
        """Sandboxes of all teams that are not as their users want them, at most `DRIFT_MAX`.

        Raises: Forbidden for all but platform admins.
        """
        require_platform_admin(principal)
        return tuple(await drift.read(self._database, AS_WANTED, LASTING, DRIFT_MAX))

"""Which hosts this replica can call."""

from collections.abc import Collection
from uuid import UUID

from api.clock import Clock
from api.errors import Unavailable
from api.hosts.access import TlsAccess, TokenAccess
from api.hosts.authority import REPLICA_LIFETIME, Authority, ReplicaCredentials
from api.hosts.client import HostClient

SHOWN_SECONDS = REPLICA_LIFETIME.total_seconds() / 2
"""How long one certificate of this replica is used for new connections."""


class HostRegistry:
    """A client per address, found by the id of the host that answered there last.

    Addresses of the settings are called with the token; hosts that have joined (`register`) by mutual TLS.
    """

    def __init__(self, addresses: tuple[str, ...], token: str, authority: Authority | None, clock: Clock) -> None:
        self._addresses = addresses
        self._token = token
        self._authority = authority
        self._clock = clock
        self._clients: dict[str, HostClient] = {}
        self._hosts: dict[UUID, HostClient] = {}
        self._joined: dict[UUID, HostClient] = {}
        self._shown: ReplicaCredentials | None = None
        self._shown_since = 0.0

    def open(self) -> None:
        """Makes the clients; each connects when it is first used."""
        access = TokenAccess(self._token)
        self._clients = {address: HostClient(address, access) for address in self._addresses}

    async def close(self) -> None:
        """Ends every call."""
        for client in (*self._clients.values(), *self._joined.values()):
            await client.close()
        self._clients.clear()
        self._joined.clear()
        self._hosts.clear()

    async def register(self, host_id: UUID, address: str) -> HostClient | None:
        """Takes in a host that has joined; a client if it is new, or has moved to another address. May be repeated.

        Without an authority this replica cannot call it: None, always.
        """
        known = self._joined.get(host_id)
        if self._authority is None or (known is not None and known.address == address):
            return None
        client = HostClient(address, TlsAccess(self._credentials(self._authority), host_id))
        self._joined[host_id] = client
        return client

    def forget_all_but(self, host_ids: Collection[UUID]) -> frozenset[UUID]:
        """Calls no host any more that had joined and is not one of these; which those were. Their clients are closed by
        who looks after them."""
        forgotten = frozenset(self._joined.keys() - set(host_ids))
        for host_id in forgotten:
            client = self._joined.pop(host_id)
            if self._hosts.get(host_id) is client:
                del self._hosts[host_id]
        return forgotten

    def is_given_up(self, client: HostClient) -> bool:
        """Whether a client's host was removed or has joined again elsewhere: nobody is to be called there any more."""
        return client not in self._clients.values() and client not in self._joined.values()

    async def renew(self) -> None:
        """Shows a new certificate of this replica to hosts that have joined, once the one in use is half over."""
        if self._authority is None or self._clock.monotonic() - self._shown_since < SHOWN_SECONDS:
            return
        credentials = self._credentials(self._authority)
        for host_id, client in self._joined.items():
            await client.renew(TlsAccess(credentials, host_id))

    def _credentials(self, authority: Authority) -> ReplicaCredentials:
        now = self._clock.monotonic()
        if self._shown is None or now - self._shown_since >= SHOWN_SECONDS:
            self._shown = authority.certify_replica(self._clock.now())
            self._shown_since = now
        return self._shown

    @property
    def clients(self) -> tuple[HostClient, ...]:
        """Those of the settings, whether they answer or not."""
        return tuple(self._clients.values())

    @property
    def host_ids(self) -> frozenset[UUID]:
        """The hosts that answered this replica at least once."""
        return frozenset(self._hosts)

    def answered(self, host_id: UUID, client: HostClient) -> None:
        """Notes which host is at a client's address, once that is certain; another one that was there before is no
        longer. Of a client that was given up meanwhile it notes nothing."""
        if self.is_given_up(client):
            return
        for known, other in tuple(self._hosts.items()):
            if other is client and known != host_id:
                del self._hosts[known]
        self._hosts[host_id] = client

    def client(self, host_id: UUID | None) -> HostClient:
        """The client of a host. Raises: Unavailable when it never answered this replica."""
        client = None if host_id is None else self._hosts.get(host_id)
        if client is None:
            raise Unavailable("The sandbox's host does not answer at the moment.", code="HOST_UNREACHABLE")
        return client

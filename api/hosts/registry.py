"""Which hosts this replica can call."""

from uuid import UUID

from api.errors import Unavailable
from api.hosts.client import HostClient


class HostRegistry:
    """A client per address, found by the id of the host that answered there last."""

    def __init__(self, addresses: tuple[str, ...], token: str) -> None:
        self._addresses = addresses
        self._token = token
        self._clients: dict[str, HostClient] = {}
        self._hosts: dict[UUID, HostClient] = {}

    def open(self) -> None:
        """Makes the clients; each connects when it is first used."""
        self._clients = {address: HostClient(address, self._token) for address in self._addresses}

    async def close(self) -> None:
        """Ends every call."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
        self._hosts.clear()

    @property
    def clients(self) -> tuple[HostClient, ...]:
        """All of them, whether they answer or not."""
        return tuple(self._clients.values())

    @property
    def host_ids(self) -> frozenset[UUID]:
        """The hosts that answered this replica at least once."""
        return frozenset(self._hosts)

    def answered(self, host_id: UUID, client: HostClient) -> None:
        """Notes which host is at a client's address; another one that was there before is no longer."""
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

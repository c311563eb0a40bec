"""How a replica proves to hosts that it may call them, and they to it that they are who they should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import grpc.aio
from grpc import ssl_channel_credentials

from api.hosts.authority import ReplicaCredentials, server_name

Options = Sequence[tuple[str, int | str]]


class Access(Protocol):
    """One of the two ways."""

    @property
    def host_id(self) -> UUID | None:
        """The host that the other end proves to be; None if it may be any that knows the secret."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Sent with each call."""

    def channel(self, address: str, options: Options) -> grpc.aio.Channel:
        """A channel to a host; it connects when it is first used."""


@dataclass(frozen=True, slots=True)
class TokenAccess:
    """In the clear, with a secret that both know: for an agent on the same computer."""

    token: str

    @property
    def host_id(self) -> None:
        """Nobody in particular."""
        return

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The secret."""
        return (("authorization", f"Bearer {self.token}"),)

    def channel(self, address: str, options: Options) -> grpc.aio.Channel:
        """See `Access.channel`."""
        return grpc.aio.insecure_channel(address, options=options)


@dataclass(frozen=True, slots=True)
class TlsAccess:
    """Mutual TLS. The host's certificate must be that of `host_id`: the host counts, not the address."""

    credentials: ReplicaCredentials
    host_id: UUID

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Nothing: the certificate says it all."""
        return ()

    def channel(self, address: str, options: Options) -> grpc.aio.Channel:
        """See `Access.channel`."""
        shown = self.credentials
        secure = ssl_channel_credentials(shown.authority, shown.key, shown.certificate)
        named = (*options, ("grpc.ssl_target_name_override", server_name(self.host_id)))
        return grpc.aio.secure_channel(address, secure, options=named)
